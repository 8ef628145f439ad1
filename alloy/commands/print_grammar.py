"""Print the grammar of the answers to this project's task.

Run     alloy grammar
"""

from alloy.labeling.grammar import build_answer_grammar
from alloy.labeling.settings import Prompt
from alloy.labeling.task import load_task


def main() -> None:
    """Print the grammar, for servers that accept a grammar with each request."""
    task = load_task(Prompt.load())
    print(build_answer_grammar(task.taxonomy, task.task, task.codes))
