"""Cheap baselines for the customer task, such as a linear SVM.

Here: models that train in seconds and need no GPU. Each baseline has a stage, which reads the split and writes
predictions in the format of any model. CONTRIBUTING.md says how to add one.
"""
