"""General ability, measured with lm-eval: MMLU, IFEval and any other task.

Here: models as lm-eval sees them, and our tasks. Not here: anything of the customers' labels.
"""
