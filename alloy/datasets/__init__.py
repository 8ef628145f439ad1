"""Data sets in any format, turned into the canonical files that the other stages read.

Each folder under data/ says in its `source.yaml` what it holds.
"""
