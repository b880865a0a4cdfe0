"""The audit of an output folder."""
