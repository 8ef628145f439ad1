"""The files that Alloy reads and writes: comments, taxonomy, general data, benchmarks. One file per format, and
the readers and checks that they need.

Here: reading, checking and writing rows of one format. Not here: converting a public data set
(`data/<set>/convert.py`).
"""
