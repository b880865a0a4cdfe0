"""Our work and the peers' work, measured side by side: ``python -m benchmarks.run`` from the repository's root."""
