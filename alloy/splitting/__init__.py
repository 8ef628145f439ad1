"""Check labeled comments and divide them into train and test, without near-duplicates across the two.

Here: row checks, near-duplicate search, assignment to train or test. Not here: overlap with public tests
(`decontamination`).
"""
