#!/usr/bin/env bash
# Lock the dependencies with hashes: one file for a checkout, one for each image. No index host is written.
# Usage: requirements.sh UV
set -euo pipefail
lock() { "$uv" pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml "$@"; }
uv=$1
lock --extra service --extra trainer --group dev -o requirements/dev.txt
lock --extra service -c requirements/dev.txt -o requirements/service.txt
lock --extra service-gpu --extra trainer -c requirements/dev.txt -o requirements/gpu.txt
