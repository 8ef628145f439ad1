"""Base, tuned model and baseline side by side: the registry of metrics, the verdict, charts and the report.

Here: what is shown to people. A metric that a stage writes is shown by one entry in `metrics.py`. Not here: how a
metric is computed (`scoring` and `stages/score.py`, `evaluation`).
"""
