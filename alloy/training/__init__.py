"""Supervised fine-tuning, from chat rows to a saved model, on one process or many.

`run.py` is the list of steps; the other files are its steps and what these need. Not here: which rows are trained on
(`mixing`).
"""
