"""The files that Alloy reads and writes: comments, taxonomy, general data, benchmarks. One file per format.

Here: reading, checking and writing rows of one format, and what several formats need for that. Not here: converting a
public data set (`data/<set>/convert.py`).
"""
