"""The training mix: which customer rows and general rows it holds, in which order, and its data card.

Here: exact shares in examples or tokens. Not here: training on the mix (`training`).
"""
