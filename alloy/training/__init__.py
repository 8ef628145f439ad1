"""Supervised fine-tuning, from chat rows to a saved model, on one process or many.

Start with `run.py`: it lists the steps, and each step is a file in this folder. The choice of training rows is in
`mixing`.
"""
