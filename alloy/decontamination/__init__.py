"""Find general examples that share text with a test.

Here: n-gram overlap. Not here: near-duplicate comments (`splitting`).
"""
