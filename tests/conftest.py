"""Settings of all tests and of the processes that they start."""

import os

import pytest

# On shared cores, threads that spin while they wait slow down the others. torch reads the variable when it is imported.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

# `make test-slow` starts these first. Otherwise one process would run a long file alone at the end, and the other wait.
LONGEST_FIRST = (
    "tests/pipeline/test_evidence.py",
    "tests/pipeline/test_pipeline.py",
    "tests/pipeline/test_hostile_text.py",
    "tests/runtime/test_resume.py",
    "tests/training/test_topology.py",
    "tests/pipeline/test_tutorial.py",
    "tests/pipeline",
    "tests/stages",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort tests by their file or folder in `LONGEST_FIRST`; keep the order of the others."""

    def get_rank(item: pytest.Item) -> int:
        return next((i for i, name in enumerate(LONGEST_FIRST) if item.nodeid.startswith(name)), len(LONGEST_FIRST))

    items.sort(key=get_rank)
