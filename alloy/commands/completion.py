"""Complete arguments of the `alloy` command in the shell. Each function returns the candidates for what was typed."""

from collections.abc import Callable
from pathlib import Path

from alloy.core.files import InputError


def complete_names(folder: str) -> Callable[[str], list[str]]:
    """Return a completion for the shell: the names of the YAML files in a folder of the project."""

    def complete(incomplete: str) -> list[str]:
        return sorted(file.stem for file in Path(folder).glob("*.yaml") if file.stem.startswith(incomplete))

    return complete


def complete_revisions(incomplete: str) -> list[str]:
    """Return the branches and tags whose names begin with `incomplete`."""
    from alloy.core.git import run_git

    try:
        names = run_git("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags").split()
    except InputError:  # not a git repository
        return []
    return [name for name in names if name.startswith(incomplete)]


def complete_metrics(incomplete: str) -> list[str]:
    """Return the metrics of general ability whose names begin with `incomplete`."""
    from alloy.sweep.axis import list_axes

    return [name for name in list_axes() if name.startswith(incomplete)]
