"""Supervised fine-tuning, from chat rows to a saved model, on one process or many.

`run.py` is the list of steps; each other file is one of them. Not here: which rows are trained on (`mixing`).
"""
