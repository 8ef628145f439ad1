"""Compare base model, tuned model and baseline: the registry of metrics, the verdict, charts and the report.

Here: what people see. To show a metric that a stage writes, add one entry to `metrics.py`. Not here: how a metric is
computed (`scoring` and `stages/score.py`, `evaluation`).
"""
