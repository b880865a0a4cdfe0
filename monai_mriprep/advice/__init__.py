"""Which target spacings keep what of the labels of a dataset, before any network is trained."""
