"""Cheap baselines for the customer task, such as a linear SVM.

Here: models that train in seconds and need no GPU. A baseline reads the split and writes predictions like any model.
"""
