"""Readers of the public data sets that the models are trained and scored on. Nothing of a data set is shipped."""
