"""Engines that answer chat requests: transformers, vLLM, OpenAI-compatible services, Amazon Bedrock.

Here: from messages to text, constrained by whatever the caller hands in (`engine.Constraint`). Not here: what is asked,
or any taxonomy (`labelling`).
"""
