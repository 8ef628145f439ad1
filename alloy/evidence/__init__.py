"""Experiments whose results are committed: each is declared in one file and run from one commit.

Here: docs/evidence/<name>.yaml, its runs and its page. Not here: sweeps, whose results stay on one machine (`sweep`).
"""
