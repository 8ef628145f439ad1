"""The customer task: comments as prompts, answers as labels, and the grammar that answers are held to.

Here: everything that knows the taxonomy and speaks to a model. Not here: engines (`inference`), scores (`scoring`).
"""
