"""The rival: learns what can be learnt, gives several leaves where there are several, and the same every time."""

import random
from pathlib import Path

import numpy as np
import pytest

from alloy.baseline.linear_svm import LinearRival, best_threshold, choose
from alloy.baseline.settings import Svm
from alloy.core.files import read_json, read_jsonl, write_json, write_jsonl
from alloy.core.text import text_hash
from alloy.formats.comments import Comment, Segment
from alloy.formats.taxonomy import Taxonomy
from projects import SECTIONS
from stages.svm import examples, leaves_of, main

LEAVES = {("Setup", "Pairing"): "pair", ("Setup", "Manual"): "booklet", ("Price", "High"): "dear"}
TAXONOMY = Taxonomy(("L1", "L2"), {**dict.fromkeys(LEAVES, ""), ("Price", "Never seen"): ""})
NOISE = ["door", "lamp", "today", "really", "about", "maybe", "when", "house"]


def comments(count: int, most: int, seed: int = 0) -> list[dict]:
    """Return comments in which a word tells each leaf."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        paths = rng.sample(sorted(LEAVES), rng.randint(1, most))
        words = [LEAVES[path] for path in paths] + rng.choices(NOISE, k=6)
        rng.shuffle(words)
        segments = [dict(zip(("L1", "L2"), path, strict=True)) for path in paths]
        rows.append({"id": f"c{seed}-{number}", "text": " ".join(words), "segments": segments})
    return rows


def write_project(most: int, limit: int | None = None) -> None:
    write_jsonl("data/split/train.jsonl", comments(200, most))
    write_jsonl("data/split/test.jsonl", comments(50, most, seed=1))
    write_json("data/split/taxonomy.json", TAXONOMY.to_rows())
    Path("params.yaml").write_text("profile: small\n")
    sections = {"model": {"hub": "a/b", "revision": "0" * 40}, "train": {"lr": 0.1}, "infer": {"limit": limit}}
    write_json("profiles/small.yaml", {**sections, **SECTIONS})  # JSON is YAML


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("most", [1, 2])
def test_what_words_tell_is_learnt_with_one_leaf_or_several(here: Path, most: int) -> None:
    write_project(most)
    main()
    for wanted, row in zip(read_jsonl("data/split/test.jsonl"), read_jsonl("data/predictions/svm.jsonl"), strict=True):
        assert (row["id"], row["hash"]) == (wanted["id"], text_hash(wanted["text"]))
        assert {tuple(part.values()) for part in row["segments"]} == {
            tuple(part.values()) for part in wanted["segments"]
        }
        assert row["valid"] and row["raw"].startswith('[{"L1": "')
    figures = read_json("metrics/svm.json")["svm"]["svm"]
    assert figures["leaves"] == 3
    assert figures["train_seconds"] >= 0 and figures["core_hours"] >= 0


def test_the_same_comments_give_the_same_bytes(here: Path) -> None:
    write_project(2)
    main()
    first = Path("data/predictions/svm.jsonl").read_bytes()
    main()
    assert Path("data/predictions/svm.jsonl").read_bytes() == first


def test_it_labels_the_comments_that_the_models_label(here: Path) -> None:
    write_project(1, limit=7)
    main()
    assert len(read_jsonl("data/predictions/svm.jsonl")) == 7


def test_the_best_leaf_is_given_even_below_the_threshold() -> None:
    margins = np.array([[-0.9, -0.5, -0.8], [0.4, 0.1, -1.0]], np.float32)
    assert choose(margins, 0.0).tolist() == [[False, True, False], [True, True, False]]
    assert choose(margins, np.inf).tolist() == [[False, True, False], [True, False, False]]


def test_the_threshold_is_the_one_with_the_best_f1() -> None:
    margins = np.array([[0.5, -0.3, -0.9], [-0.9, 0.6, -0.25], [0.7, -0.8, -0.9]], np.float32)
    held = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 0]], bool)
    found = best_threshold(margins, held)
    assert -0.8 < found <= -0.3
    assert (choose(margins, found) == held).all()
    assert best_threshold(margins, choose(margins, np.inf)) == np.inf


def test_a_leaf_of_all_comments_needs_no_machine() -> None:
    texts = ["pair door", "pair lamp", "pair house"]
    held = np.array([[True, True], [True, False], [True, True]])
    rival = LinearRival(Svm()).fit([*texts], held, "test")
    assert (rival.margins(["anything"])[:, 0] > 0).all()


def test_contents_of_segments_are_examples_of_their_one_leaf() -> None:
    pairing, high = ("Setup", "Pairing"), ("Price", "High")
    segments = (Segment(pairing, "will not pair"), Segment(high, "too dear"))
    both, alone = Comment("1", "will not pair, too dear", segments), Comment("2", "dear", (Segment(high, "dear"),))
    assert examples([both, alone]) == (
        ["will not pair, too dear", "dear", "will not pair", "too dear"],
        [{pairing, high}, {high}, {pairing}, {high}],
    )


def test_a_row_says_which_leaves_it_has() -> None:
    leaves = list(LEAVES)
    assert leaves_of([{leaves[0], leaves[2]}, {leaves[1]}], leaves).tolist() == [
        [True, False, True],
        [False, True, False],
    ]
