"""The stages of dvc.yaml: one script per stage, named for it, and nothing else.

A script opens with what it reads and writes, has a pure core, and ends in a `main` that does the reading and writing.
What two stages share is in `alloy/`.
"""
