"""Scores of predicted labels against gold labels, and their confidence intervals.

Here: pure functions from labels to counts and scores. Not here: general benchmarks (`evaluation`), comparison of models
(`comparison`).
"""
