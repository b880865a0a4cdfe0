"""What other programs read: splits of a preprocessed dataset."""
