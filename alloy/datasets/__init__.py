"""Convert data sets of any format to the canonical files that the other stages read.

The `source.yaml` in each folder under data/ describes the data there.
"""
