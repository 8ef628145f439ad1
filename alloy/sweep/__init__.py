"""Many runs: a grid of mix ratios and learning rates as DVC experiments, their results, and which one to take.

Here: running and comparing experiments. Not here: comparing models within one run (`comparison`).
"""
