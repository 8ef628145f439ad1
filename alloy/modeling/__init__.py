"""Models as folders on disk: finding, loading and naming them, and their chat templates.

Here: what training and inference both need of a model. Not here: training one (`training`), asking one (`inference`).
"""
