"""Patches of preprocessed volumes that are taken straight from the scans."""
