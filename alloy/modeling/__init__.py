"""Models as folders on disk: finding, checking and loading them, and their chat templates.

Here: what both training and inference need. Not here: training a model (`training`), generating text (`inference`).
"""
