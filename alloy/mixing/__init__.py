"""The training mix: which customer rows and general rows it holds, in which order, and its data card.

Here: choosing rows so that the shares are exact, in examples or tokens. Not here: training on the mix (`training`).
"""
