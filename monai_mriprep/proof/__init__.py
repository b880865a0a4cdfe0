"""Proof: an output folder locked to its sources, its recipe and its arrays, and made again from that lock."""
