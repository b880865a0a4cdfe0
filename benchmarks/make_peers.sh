#!/usr/bin/env bash
# Make the peers' environment, with the torch that we are measured with. On Linux pip's torch may bring CUDA packages,
# some gigabytes; they idle in a CPU comparison. timm, which nnU-Net names, brings a torchvision that does not load
# beside a torch for CPUs, and that nothing here uses.
# usage: benchmarks/make_peers.sh [FOLDER]
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
folder="${1:-$here/../.venv-peers}"
"${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check \
  -r "$here/peers-requirements.txt" -c "$here/peers-constraints.txt"
"$folder/bin/pip" uninstall --quiet --yes --disable-pip-version-check torchvision
touch "$folder/.installed"
