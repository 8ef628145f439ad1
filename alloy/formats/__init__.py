"""The files that Alloy reads and writes: comments, taxonomy, general data, benchmarks. One file per format.

Here: reading, checking and writing rows of each format. Not here: converting data sets (`datasets`).
"""
