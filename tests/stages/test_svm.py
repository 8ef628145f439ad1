"""The stage `svm` learns simple rules, predicts several leaves, and is deterministic."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from alloy.baseline.linear_svm import EmotionSvm, OneVsRestSvm, choose_labels, find_best_threshold
from alloy.baseline.settings import Svm
from alloy.baseline.svm_labeler import build_emotion_examples, build_label_matrix, build_path_examples, train_labeler
from alloy.core.files import read_json, read_jsonl, write_json, write_jsonl
from alloy.core.text import hash_text
from alloy.formats.comments import Comment, Segment
from alloy.formats.taxonomy import Taxonomy
from alloy.scoring.article_score import compute_article_scores
from projects import SECTIONS
from stages.svm import main

LEAVES = {("Setup", "Pairing"): "pair", ("Setup", "Manual"): "booklet", ("Price", "High"): "dear"}
TAXONOMY = Taxonomy(("L1", "L2"), {**dict.fromkeys(LEAVES, ""), ("Price", "Never seen"): ""})
NOISE = ["door", "lamp", "today", "really", "about", "maybe", "when", "house"]


def make_comments(count: int, max_leaves: int, seed: int = 0) -> list[dict]:
    """Return comments with a word per leaf."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        paths = rng.sample(sorted(LEAVES), rng.randint(1, max_leaves))
        words = [LEAVES[path] for path in paths] + rng.choices(NOISE, k=6)
        rng.shuffle(words)
        segments = [dict(zip(("L1", "L2"), path, strict=True)) for path in paths]
        rows.append({"id": f"c{seed}-{number}", "text": " ".join(words), "segments": segments})
    return rows


def add_emotions(rows: list[dict]) -> list[dict]:
    """Return the comments with a word for the emotion of all their segments; "wow" adds an emotion per path."""
    rng = random.Random(2)
    emotions_by_word = {"hooray": dict.fromkeys(LEAVES, "joy"), "damn": dict.fromkeys(LEAVES, "anger")}
    emotions_by_word["wow"] = dict(zip(sorted(LEAVES), ("joy", "anger", "joy"), strict=True))
    comments = []
    for row in rows:
        word = rng.choice(sorted(emotions_by_word))
        segments = [{**part, "emotion": emotions_by_word[word][part["L1"], part["L2"]]} for part in row["segments"]]
        comments.append({**row, "text": f"{row['text']} {word}", "segments": segments})
    return comments


def write_project(max_leaves: int, limit: int | None = None, *, emotions: bool = False) -> None:
    for side, rows in (("train", make_comments(200, max_leaves)), ("test", make_comments(50, max_leaves, seed=1))):
        write_jsonl(f"data/split/{side}.jsonl", add_emotions(rows) if emotions else rows)
    write_json("data/split/taxonomy.json", TAXONOMY.to_rows())
    Path("params.yaml").write_text("profile: small\n")
    sections = {"model": {"hub": "a/b", "revision": "0" * 40}, "train": {"lr": 0.1}, "infer": {"limit": limit}}
    write_json("profiles/small.yaml", {**sections, **SECTIONS})  # JSON is YAML


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("max_leaves", [1, 2])
def test_labels_that_depend_on_words_are_learned_with_one_leaf_or_several(project: Path, max_leaves: int) -> None:
    write_project(max_leaves)
    main()
    for gold, row in zip(read_jsonl("data/split/test.jsonl"), read_jsonl("data/predictions/svm.jsonl"), strict=True):
        assert (row["id"], row["hash"]) == (gold["id"], hash_text(gold["text"]))
        assert {tuple(part.values()) for part in row["segments"]} == {tuple(part.values()) for part in gold["segments"]}
        assert row["valid"] and row["raw"].startswith('[{"L1": "')
    metrics = read_json("metrics/svm.json")["svm"]["svm"]
    assert (metrics["leaves"], metrics["emotions"]) == (3, 0)
    assert metrics["train_seconds"] >= 0 and metrics["core_hours"] >= 0


def test_emotions_that_depend_on_words_are_learned_for_each_path(project: Path) -> None:
    write_project(2, emotions=True)
    main()
    right = expected = 0
    for gold, row in zip(read_jsonl("data/split/test.jsonl"), read_jsonl("data/predictions/svm.jsonl"), strict=True):
        answers = {tuple(part.values()) for part in row["segments"]}
        right += len({tuple(part.values()) for part in gold["segments"]} & answers)
        expected += len(gold["segments"])
        assert all(list(part) == ["L1", "L2", "emotion"] for part in row["segments"])
        assert row["raw"] == json.dumps(row["segments"])
    assert right / expected > 0.95
    assert read_json("metrics/svm.json")["svm"]["svm"]["emotions"] == 2


def test_emotions_change_neither_paths_nor_the_article_score(project: Path) -> None:
    write_project(2, emotions=True)
    main()
    rows = list(read_jsonl("data/predictions/svm.jsonl"))
    paths = [[{key: part[key] for key in TAXONOMY.levels} for part in row["segments"]] for row in rows]
    gold = [json.dumps(row["segments"]) for row in read_jsonl("data/split/test.jsonl")]
    scored = compute_article_scores(gold, [row["raw"] for row in rows], TAXONOMY.levels)
    assert scored == compute_article_scores(gold, [json.dumps(segments) for segments in paths], TAXONOMY.levels)
    for side in ("train", "test"):
        without_emotions = [
            {**row, "segments": [{k: v for k, v in part.items() if k != "emotion"} for part in row["segments"]]}
            for row in read_jsonl(f"data/split/{side}.jsonl")
        ]
        write_jsonl(f"data/split/{side}.jsonl", without_emotions)
    main()
    assert [row["segments"] for row in read_jsonl("data/predictions/svm.jsonl")] == paths


def test_the_same_word_may_mean_another_emotion_for_another_path() -> None:
    (small, large) = ("Place",), ("Portion",)
    texts = ["small room here", "small plate here", "grand room here", "grand plate here"] * 5
    paths, emotions = [small, large, small, large] * 5, ["joy", "anger", "anger", "joy"] * 5
    labels = build_label_matrix([{path} for path in paths], [small, large])
    vectorizer = OneVsRestSvm(Svm()).fit(texts, labels, "test").vectorizer
    machines = EmotionSvm(Svm(), vectorizer, [small, large]).fit(texts, paths, emotions)
    assert machines.predict(["small", "small", "grand", "grand"], paths[:2] * 2) == ["joy", "anger", "anger", "joy"]
    assert machines.predict([], []) == []


def test_a_missing_emotion_is_learned_like_an_emotion() -> None:
    rows = [("damn pair today", "anger"), ("pair lamp today", None)] * 10
    path = ("Setup", "Pairing")
    train = [Comment(str(n), text, (Segment(path, emotion=emotion),)) for n, (text, emotion) in enumerate(rows)]
    labeled = train_labeler(train, [path], Svm()).label_texts(["damn pair", "pair lamp"])
    assert [segment.emotion for (segment,) in labeled] == ["anger", None]


def test_a_single_emotion_needs_no_svm_and_spaces_around_it_are_ignored() -> None:
    path = ("Setup", "Pairing")
    emotions = ("joy", " joy ")
    train = [Comment(str(n), "pair it", (Segment(path, emotion=emotions[n % 2]),)) for n in range(10)]
    ((segment,),) = train_labeler(train, [path], Svm()).label_texts(["pair"])
    assert segment.emotion == "joy"


def test_the_same_comments_give_the_same_bytes(project: Path) -> None:
    write_project(2)
    main()
    first = Path("data/predictions/svm.jsonl").read_bytes()
    main()
    assert Path("data/predictions/svm.jsonl").read_bytes() == first


def test_the_svm_labels_the_same_comments_as_the_models(project: Path) -> None:
    write_project(1, limit=7)
    main()
    assert len(read_jsonl("data/predictions/svm.jsonl")) == 7


def test_the_best_leaf_is_predicted_even_below_the_threshold() -> None:
    margins = np.array([[-0.9, -0.5, -0.8], [0.4, 0.1, -1.0]], np.float32)
    assert choose_labels(margins, 0.0).tolist() == [[False, True, False], [True, True, False]]
    assert choose_labels(margins, np.inf).tolist() == [[False, True, False], [True, False, False]]


def test_the_threshold_is_the_one_with_the_best_f1() -> None:
    margins = np.array([[0.5, -0.3, -0.9], [-0.9, 0.6, -0.25], [0.7, -0.8, -0.9]], np.float32)
    labels = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 0]], bool)
    found = find_best_threshold(margins, labels)
    assert -0.8 < found <= -0.3
    assert (choose_labels(margins, found) == labels).all()
    assert find_best_threshold(margins, choose_labels(margins, np.inf)) == np.inf


def test_a_leaf_of_all_comments_needs_no_svm() -> None:
    texts = ["pair door", "pair lamp", "pair house"]
    labels = np.array([[True, True], [True, False], [True, True]])
    machines = OneVsRestSvm(Svm()).fit([*texts], labels, "test")
    assert (machines.compute_margins(["anything"])[:, 0] > 0).all()


def test_contents_of_segments_are_examples_of_their_one_leaf() -> None:
    pairing, high = ("Setup", "Pairing"), ("Price", "High")
    segments = (Segment(pairing, "will not pair"), Segment(high, "too dear"))
    multiple, single = Comment("1", "will not pair, too dear", segments), Comment("2", "dear", (Segment(high, "dear"),))
    assert build_path_examples([multiple, single]) == (
        ["will not pair, too dear", "dear", "will not pair", "too dear"],
        [{pairing, high}, {high}, {pairing}, {high}],
    )


def test_an_emotion_is_learned_from_the_comment_and_from_the_content() -> None:
    pairing, high = ("Setup", "Pairing"), ("Price", "High")
    segments = (Segment(pairing, "will not pair", "anger"), Segment(high, None, "neutral"))
    assert build_emotion_examples([Comment("1", "will not pair, too dear", segments)]) == (
        ["will not pair, too dear", "will not pair, too dear", "will not pair"],
        [pairing, high, pairing],
        ["anger", "neutral", "anger"],
    )


def test_a_prediction_row_has_its_leaves() -> None:
    leaves = list(LEAVES)
    assert build_label_matrix([{leaves[0], leaves[2]}, {leaves[1]}], leaves).tolist() == [
        [True, False, True],
        [False, True, False],
    ]
