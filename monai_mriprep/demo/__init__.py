"""A small synthetic dataset, preprocessed, with pictures of before and after."""
