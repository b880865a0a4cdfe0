"""Datasets and output folders in an object store, of which the rest of the package knows no more than paths."""
