"""Experiments whose results are committed: declared in one file, run from one commit, kept run by run, and shown.

Here: docs/evidence/<name>.yaml, its runs and its page. Not here: sweeps, whose results stay on one machine (`sweep`).
"""
