"""What a run's training saw, and what the notes say of it."""

from alloy.comparison.seeds import ONE_SEED
from alloy.evidence.summary import base_differences, notes, trained


def record(
    epochs: float = 1.0, customer: int = 500, comments: int | None = 3549, base: float = 0.5, **machine: str
) -> dict:
    return {
        "seed": 0,
        "mix": {"rows": customer + 100, "source": {"customer": {"rows": customer}}},
        "train": {"steps": 5, "epochs": epochs, "dropped": 0},
        "comments": comments,
        "machine": {"cores": 2, "processor": "A", "vectors": "AVX2", "gpus": [], **machine},
        "measures": [
            {"name": "leak", "models": {"base": {"value": base}}},
            {"part": "general", "key": "x", "models": {}},
        ],
    }


def test_a_training_that_ends_early_has_seen_a_share_of_the_rows() -> None:
    assert trained(record(epochs=0.2, customer=3000)) == {
        "customer": 600, "general": 20, "comments": 3549, "steps": 5, "epochs": 0.2, "dropped": 0,
    }  # fmt: skip
    assert trained(record(epochs=2.0))["customer"] == 500


def test_one_seed_several_machines_and_what_the_svm_saw_are_told() -> None:
    said = notes({"A": [record()], "B": [record(processor="B", gpus=["H"]), record(customer=499)]})
    assert said[0] == ONE_SEED
    assert said[1] == "Made on 2 cores of A, AVX2 and on 2 cores of B, AVX2, H."
    assert said[2].startswith("The SVM learned from all 3,549 training comments, the tuned models from 499 to 500 ")
    assert len(said) == 3
    assert len(notes({"A": [record(customer=3549), record(customer=3549)]})) == 1
    assert len(notes({"A": [record(comments=None)] * 2})) == 1


def test_a_base_that_differs_between_machines_is_told() -> None:
    assert base_differences([[record(base=0.5), record(base=0.5)], [record(base=0.7)]]) == 0
    assert round(base_differences([[record(base=0.5), record(base=0.54)]]), 4) == 0.04
