"""Print the grammar of the answers."""

from alloy.core.params import load_params
from alloy.core.stage import run
from alloy.labelling.grammar import answer_grammar
from alloy.labelling.task import load_task


def main() -> None:
    """Print the grammar of the answers to this project's task, for a server that takes one with each request."""
    task = load_task(load_params().prompt)
    print(answer_grammar(task.taxonomy, task.task, task.codes))


if __name__ == "__main__":
    run(main)
