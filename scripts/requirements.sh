#!/usr/bin/env bash
# Lock the dependencies with hashes: for a checkout, for each image, and for what builds images. No index host is written.
# Usage: requirements.sh UV
set -euo pipefail
options=(--universal --python-version 3.11 --generate-hashes --no-header --no-annotate)
lock() { "$uv" pip compile -q "${options[@]}" pyproject.toml "$@"; }
uv=$1
lock --extra service --extra trainer --group dev -o requirements/dev.txt
lock --extra service -c requirements/dev.txt -o requirements/service.txt
lock --extra service-gpu --extra trainer -c requirements/dev.txt -o requirements/gpu.txt
printf 'hatchling\nuv\n' | "$uv" pip compile -q "${options[@]}" - -o requirements/build.txt
