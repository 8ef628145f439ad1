"""The demo data: customer comments, general data and benchmarks, generated from two lexicons with fixed seeds.

The data looks like real data and is free for any use.
"""
