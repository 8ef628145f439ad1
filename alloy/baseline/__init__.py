"""Cheap baselines for the customer task, such as a linear SVM.

Here: models that train in seconds and need no GPU. A stage of its own runs a baseline: it reads the split and writes
predictions like any model's. CONTRIBUTING.md says what else has to know it.
"""
