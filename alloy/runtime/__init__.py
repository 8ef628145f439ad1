"""Run long work: on all cores, in chunks, and resumed after an interruption.

Here: code that runs any work safely. Not here: the work itself.
"""
