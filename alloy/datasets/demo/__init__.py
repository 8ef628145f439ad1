"""The demo data: customer comments, general data and benchmarks, generated from two lexicons with fixed seeds.

They look like real data and are free for any use.
"""
