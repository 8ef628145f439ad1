"""The customer task: prompts for comments, answers as labels, and the grammar that answers must follow.

Here: everything that depends on both the taxonomy and the model. Not here: engines (`inference`), scores (`scoring`).
"""
