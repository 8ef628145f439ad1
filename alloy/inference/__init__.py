"""Engines that answer chat requests: transformers, vLLM, OpenAI-compatible services, Amazon Bedrock.

An engine turns messages into text. The caller may pass a constraint on the text (`engine.Constraint`). Engines know
neither the prompt nor the taxonomy of the customer task (see `labeling`).
"""
