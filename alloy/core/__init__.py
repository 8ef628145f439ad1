"""What every other folder may use: files and errors, settings, text, Markdown, git and DVC.

Here: code that knows nothing of models, comments or metrics. Not here: file formats of the project (`formats`), work
that can be resumed (`runtime`).
"""
