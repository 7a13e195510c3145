#!/usr/bin/env bash
# Generate the protobuf stubs beside their protos, or check that the committed ones are what the protos give.
# Usage: protos.sh UV GRPC_TOOLS protos|check
set -euo pipefail
uv=$1 tools=$2 what=$3
protos=(protos/cultivar/*/*.proto)

generate() { # into folder $1
  local with_services
  mapfile -t with_services < <(grep -l '^service ' "${protos[@]}")
  run() { "$uv" run -q --no-project --isolated --with "$tools" --with 'setuptools<81' python -m grpc_tools.protoc -I protos "$@"; }
  run --python_out="$1" --pyi_out="$1" "${protos[@]}"
  run --grpc_python_out="$1" "${with_services[@]}"
}

case $what in
  protos) generate protos ;;
  check)
    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
    generate "$fresh"
    for stub in "$fresh"/cultivar/*/* protos/cultivar/*/*_pb2*; do
      name=$(basename "$(dirname "$stub")")/$(basename "$stub")
      cmp -s "$fresh/cultivar/$name" "protos/cultivar/$name" || { echo "$name is stale: run make protos" >&2; exit 1; }
    done ;;
esac
