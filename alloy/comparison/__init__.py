"""Base, tuned model and baseline side by side: the registry of metrics, the verdict, charts and the report.

Here: what is shown to people. A new metric is one entry in `metrics.py`. Not here: how a metric is computed (`scoring`,
`evaluation`).
"""
