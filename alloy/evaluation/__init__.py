"""General ability of a model: MMLU, IFEval and other tasks of lm-eval, chat answers, and the loss on general text.

Nothing here knows the customers' labels.
"""
