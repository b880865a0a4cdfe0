"""Stock MONAI transforms in a DataLoader."""

from __future__ import annotations

from benchmarks.loading import Loading
from benchmarks.peers.stock_monai import transforms
from benchmarks.serve import serve

if __name__ == "__main__":
    serve(Loading({"monai": transforms}).commands())
