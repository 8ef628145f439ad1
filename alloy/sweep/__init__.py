"""Sweeps: run a grid of mix ratios and learning rates as DVC experiments, compare the runs and recommend one.

Here: running and comparing experiments. Not here: comparing models within one run (`comparison`).
"""
