#!/usr/bin/env bash
# Make the peers' environment. It pulls torch with CUDA packages, some gigabytes; they idle in a CPU comparison.
# usage: benchmarks/make_peers.sh [FOLDER]
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
folder="${1:-$here/../.venv-peers}"
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check \
  -r "$here/peers-requirements.txt" -c "$here/peers-constraints.txt"
touch "$folder/.installed"
