"""The training budget of a run, and the notes of a summary."""

import re

from alloy.comparison.seeds import ONE_SEED
from alloy.evidence.summary import describe_training, find_largest_base_difference, list_notes


def make_record(
    customer: int = 500, mixed: int = 3549, comments: int | None = 3549, base: float = 0.5, **machine: str
) -> dict:
    return {
        "seed": 0,
        "mix": {"rows": mixed + 100, "unit": "examples", "source": {"customer": {"rows": mixed}}},
        "lr": 0.1,
        "train": {"steps": 5, "source": {"customer": {"examples": customer}}, "general_share": {"examples": 0.1}},
        "comments": comments,
        "machine": {"cores": 2, "processor": "A", "vectors": "AVX2", "gpus": [], **machine},
        "measures": [
            {"name": "leak", "models": {"base": {"value": base}}},
            {"part": "general", "key": "x", "models": {}},
        ],
    }


def test_the_budget_is_what_training_saw_and_not_the_mix() -> None:
    text = describe_training(make_record(customer=600, mixed=3000))
    assert (text["customer"], text["unseen"], text["general"], text["comments"]) == (600, 2400, 0.1, 3549)


def test_a_run_without_counts_has_no_budget() -> None:
    old = make_record()
    del old["train"]["source"]
    assert describe_training(old)["customer"] is None
    assert len(list_notes({"A": [old, old]})) == 1


def test_notes_name_single_seeds_machines_and_comments_of_the_svm() -> None:
    notes = list_notes({"A": [make_record()], "B": [make_record(processor="B", gpus=["H"]), make_record(customer=499)]})
    assert re.fullmatch(r"One training seed,.*: A\.", notes[0])
    assert list_notes({"A": [make_record()], "B": [make_record()]})[0] == ONE_SEED
    assert re.search(r"\b2 cores of A, AVX2\b.*\b2 cores of B, AVX2, H\b", notes[1]), notes[1]
    assert re.search(r"\bSVM\b.*\b3,549\b.*\b499 to 500\b", notes[2]), notes[2]
    assert len(notes) == 3
    assert len(list_notes({"A": [make_record(customer=3549), make_record(customer=3549)]})) == 1
    assert len(list_notes({"A": [make_record(comments=None)] * 2})) == 1


def test_a_difference_of_the_base_model_between_machines_is_found() -> None:
    assert find_largest_base_difference([[make_record(base=0.5), make_record(base=0.5)], [make_record(base=0.7)]]) == 0
    assert round(find_largest_base_difference([[make_record(base=0.5), make_record(base=0.54)]]), 4) == 0.04
