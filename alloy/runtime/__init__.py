"""How long work runs: on all cores, in chunks, and resumed after a kill.

Here: code that is told what to do and knows only how to do it safely. Not here: what the work is.
"""
