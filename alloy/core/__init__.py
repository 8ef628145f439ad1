"""Code that every other folder may use: files and errors, settings, text, Markdown, git and DVC.

Here: code that does not depend on models, comments or metrics. Not here: file formats of the project (`formats`), work
that can be resumed (`runtime`).
"""
