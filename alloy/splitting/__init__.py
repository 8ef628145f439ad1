"""Checking labeled comments and dividing them into train and test without near-duplicates across the two.

Here: row checks, near-duplicate search, assignment to a side. Not here: overlap with public tests (`decontamination`).
"""
