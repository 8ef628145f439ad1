"""The stages of dvc.yaml: one script per stage, named after the stage.

A script starts with a docstring that lists what it reads and writes. It has a pure core and a `main` that does the
reading and writing. Code that several stages use is in `alloy/`.
"""
