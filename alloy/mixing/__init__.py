"""The training mix: which customer and general rows, in which order, and the data card that says so.

Here: exact shares in examples or tokens. Not here: training on the mix (`training`).
"""
