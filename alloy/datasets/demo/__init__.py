"""The demo: customer comments, general data and tests, made from two lexicons by fixed seeds.

They read like the real thing and are free for any use.
"""
