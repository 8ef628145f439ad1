"""Engines that answer chat requests: transformers, vLLM, OpenAI-compatible services, Amazon Bedrock.

An engine turns messages into text. The caller may pass a constraint on the text (`engine.Constraint`). Engines know no
prompts and no taxonomy: these are in `labeling`.
"""
