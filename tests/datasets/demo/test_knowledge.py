"""The demo data has the documented size, structure and difficulty, and is deterministic."""

import json
import random
import re
import tomllib
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import yaml

from alloy.core.files import Row, read_jsonl
from alloy.core.text import fold_text
from alloy.datasets.demo import comments as customer_side
from alloy.datasets.demo import knowledge as general_side
from alloy.formats.comments import Comment, parse_comment
from alloy.formats.general import read_general
from alloy.formats.mmlu import load_questions
from alloy.formats.taxonomy import Taxonomy, format_path, load_taxonomy
from stages.split import read_comments

DEMO = Path(__file__).parents[3] / "data" / "demo"
LEXICON = yaml.safe_load((DEMO / "feedback.yaml").read_text(encoding="utf-8"))
KNOWLEDGE = yaml.safe_load((DEMO / "knowledge.yaml").read_text(encoding="utf-8"))
EMOTIONS = {"joy", "anger", "disappointment", "neutral"}


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the demo data from the two YAML files, in a temporary folder."""
    folder = tmp_path_factory.mktemp("demo_folder")
    make_demo(folder)
    return folder


def make_demo(folder: Path) -> None:
    (folder / "benchmark").mkdir()
    customer_side.make_comments(DEMO, folder)
    general_side.make_general(DEMO, folder)
    general_side.make_benchmark(DEMO, folder / "benchmark")
    general_side.make_instructions(DEMO, folder)


@pytest.fixture(scope="module")
def taxonomy(demo_folder: Path) -> Taxonomy:
    return load_taxonomy(demo_folder / "taxonomy.csv")


@pytest.fixture(scope="module")
def comments(demo_folder: Path, taxonomy: Taxonomy) -> list[Comment]:
    assert read_comments(demo_folder / "comments.jsonl", taxonomy).rejects == []
    return [parse_comment(row, taxonomy) for row in read_jsonl(demo_folder / "comments.jsonl")]


@pytest.fixture(scope="module")
def general(demo_folder: Path) -> list[Row]:
    return read_general(demo_folder / "general.jsonl")


@pytest.fixture(scope="module")
def benchmark(demo_folder: Path) -> dict[str, dict[str, list[Row]]]:
    return load_questions(demo_folder / "benchmark")


def test_the_same_seed_gives_the_same_files(demo_folder: Path, tmp_path: Path) -> None:
    make_demo(tmp_path)
    names = ["comments.jsonl", "taxonomy.csv", "general.jsonl", "benchmark/test.jsonl", "benchmark/dev.jsonl"]
    for name in names:
        assert (tmp_path / name).read_bytes() == (demo_folder / name).read_bytes(), name


# Customer comments


def test_the_taxonomy_is_large_and_described_on_four_levels(taxonomy: Taxonomy) -> None:
    assert taxonomy.levels == ("L1", "L2", "L3", "L4")
    assert len(taxonomy.leaves) >= 120
    assert len({path[0] for path in taxonomy.leaves}) >= 8
    assert all(len(description.split()) >= 3 for description in taxonomy.leaves.values())


def test_every_leaf_has_words_in_every_language() -> None:
    for leaf in customer_side.list_leaves(LEXICON):
        assert set(leaf.phrases) == set(leaf.subjects) == set(customer_side.LANGUAGES), leaf.path
        assert all(len(clauses) >= 2 for clauses in leaf.phrases.values()), leaf.path


def test_no_description_of_a_leaf_is_one_of_its_clauses() -> None:
    for leaf in customer_side.list_leaves(LEXICON):
        clauses = {fold_text(clause) for clauses in leaf.phrases.values() for clause in clauses}
        assert fold_text(leaf.description).rstrip(".") not in clauses, leaf.path


def test_there_are_3000_comments_and_all_differ(comments: list[Comment]) -> None:
    assert len(comments) == len({fold_text(comment.text) for comment in comments}) == 3000


def test_a_comment_has_one_to_four_segments_of_different_leaves(comments: list[Comment]) -> None:
    counts = Counter(len(comment.segments) for comment in comments)
    assert set(counts) == {1, 2, 3, 4}
    assert min(counts.values()) >= 100
    assert all(len({segment.path for segment in comment.segments}) == len(comment.segments) for comment in comments)


def test_there_are_three_languages_with_hundreds_of_comments_each(comments: list[Comment]) -> None:
    counts = Counter(comment.lang for comment in comments)
    assert set(counts) == {"en", "es", "de"}
    assert min(counts.values()) >= 450


def test_every_segment_has_an_emotion_and_none_is_rare(comments: list[Comment]) -> None:
    counts = Counter(segment.emotion for comment in comments for segment in comment.segments)
    assert set(counts) == EMOTIONS
    assert min(counts.values()) > 0.05 * counts.total()


def test_the_text_contains_the_contents_exactly_and_in_order(comments: list[Comment]) -> None:
    for comment in comments:
        start = 0
        for segment in comment.segments:
            assert segment.content
            start = comment.text.index(segment.content, start) + len(segment.content)


def test_all_placeholders_of_the_lexicon_are_filled(comments: list[Comment]) -> None:
    assert [comment.text for comment in comments if "{" in comment.text or "}" in comment.text] == []


def test_few_leaves_have_most_segments(comments: list[Comment], taxonomy: Taxonomy) -> None:
    counts = Counter(segment.path for comment in comments for segment in comment.segments)
    sizes = sorted((counts[path] for path in taxonomy.leaves), reverse=True)
    # Drawn evenly, the largest would have about 1.5 times the median and the first tenth about a seventh of all.
    assert sizes[0] >= 25 * median(sizes)
    assert sum(sizes[: len(sizes) // 10]) >= 0.5 * sum(sizes)


def test_every_leaf_is_used(comments: list[Comment], taxonomy: Taxonomy) -> None:
    assert {segment.path for comment in comments for segment in comment.segments} == set(taxonomy.leaves)


# General data and benchmark


def get_question(row: Row) -> str:
    """Return the question of a general example without its opening words, folded so that copies are equal."""
    text = row["messages"][0]["content"]
    for opener in general_side.OPENERS:
        text = text.removeprefix(opener)
    return fold_text(text)


def find_facts(subject: str, general: list[Row]) -> dict[str, str]:
    """Return the facts of a subject. The facts of arithmetic are generated, so they are read from row ids."""
    facts = KNOWLEDGE["subjects"][subject]["facts"]
    if facts:
        return facts
    matches = {re.fullmatch(rf"{subject}-(.*)-\d+", row["id"]): row for row in general if row["category"] == subject}
    return {match[1]: row["messages"][-1]["content"] for match, row in matches.items() if match}


def find_key(subject: str, question: str, general: list[Row]) -> str:
    """Return the fact that a benchmark question asks for."""
    keys = [
        key
        for key in find_facts(subject, general)
        for phrasing in KNOWLEDGE["subjects"][subject]["test"]
        if general_side.fill_phrasing(phrasing, key) == question
    ]
    assert len(set(keys)) == 1, question
    return keys[0]


def test_there_are_at_least_eight_subjects_with_40_test_questions_each(benchmark: dict[str, Any]) -> None:
    assert len(benchmark) >= 8
    assert {len(splits["test"]) for splits in benchmark.values()} == {40}
    assert {len(splits["dev"]) for splits in benchmark.values()} == {5}


def test_the_four_choices_differ(benchmark: dict[str, Any]) -> None:
    for splits in benchmark.values():
        for row in [*splits["test"], *splits["dev"]]:
            assert len({fold_text(choice) for choice in row["choices"]}) == 4, row


def test_the_right_choice_occurs_at_every_position(benchmark: dict[str, Any]) -> None:
    counts = Counter(row["answer"] for splits in benchmark.values() for row in splits["test"])
    assert min(counts.values()) > 0.18 * counts.total()
    assert max(counts.values()) < 0.32 * counts.total()


def test_the_answer_of_each_question_is_correct(benchmark: dict[str, Any], general: list[Row]) -> None:
    for subject, splits in benchmark.items():
        facts = find_facts(subject, general)
        for row in [*splits["test"], *splits["dev"]]:
            assert str(facts[find_key(subject, row["question"], general)]) == row["choices"][row["answer"]]


def test_sums_add_up(benchmark: dict[str, Any], general: list[Row]) -> None:
    sign = {"plus": int.__add__, "minus": int.__sub__, "times": int.__mul__}
    facts = find_facts("arithmetic", general)
    assert len(facts) == general_side.ARITHMETIC_FACTS
    for key, answer in facts.items():
        first, word, second = key.split()
        assert sign[word](int(first), int(second)) == int(answer)


def test_no_benchmark_question_is_in_the_training_data(benchmark: dict[str, Any], general: list[Row]) -> None:
    questions = {
        fold_text(row["question"]) for splits in benchmark.values() for rows in splits.values() for row in rows
    }
    assert questions.isdisjoint(get_question(row) for row in general)


def test_no_benchmark_phrasing_is_a_training_phrasing() -> None:
    for name, subject in KNOWLEDGE["subjects"].items():
        assert len(set(subject["train"])) >= general_side.PHRASINGS, name
        assert set(map(fold_text, subject["train"])).isdisjoint(map(fold_text, subject["test"])), name


def test_every_benchmark_fact_is_taught_in_eight_phrasings(benchmark: dict[str, Any], general: list[Row]) -> None:
    taught: dict[tuple[str, str], set[str]] = {}
    for row in general:
        if row["category"] in benchmark:
            key = row["id"].removeprefix(f"{row['category']}-").rsplit("-", 1)[0]
            taught.setdefault((row["category"], key), set()).add(get_question(row))
            assert row["messages"][-1]["content"] == str(find_facts(row["category"], [row])[key])
    for subject, splits in benchmark.items():
        for row in [*splits["test"], *splits["dev"]]:
            assert len(taught[subject, find_key(subject, row["question"], general)]) == general_side.PHRASINGS


def test_test_and_dev_share_no_fact(benchmark: dict[str, Any], general: list[Row]) -> None:
    for subject, splits in benchmark.items():
        facts = [find_key(subject, row["question"], general) for rows in splits.values() for row in rows]
        assert len(facts) == len(set(facts)) == 45


def test_every_fact_has_a_unique_name() -> None:
    for name, subject in KNOWLEDGE["subjects"].items():
        keys = [fold_text(str(key)) for key in subject["facts"] or ()]
        assert len(keys) == len(set(keys)), name


def test_tasks_are_half_of_the_general_data(benchmark: dict[str, Any], general: list[Row]) -> None:
    counts = Counter(row["category"] for row in general if row["category"] not in benchmark)
    assert set(counts) == {name for name, _ in general_side.TASK_CYCLE}
    assert 0.3 * len(general) < counts.total() < 0.7 * len(general)
    assert min(counts.values()) >= 50


def test_every_general_example_has_the_license_of_the_project(general: list[Row]) -> None:
    project = tomllib.loads((DEMO.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {row["license"] for row in general} == {project["license"]}


def test_answers_of_json_tasks_are_valid_json(general: list[Row]) -> None:
    kinds = {"as_json": dict, "split_at_comma": list}
    for row in general:
        if row["category"] in kinds:
            assert type(json.loads(row["messages"][-1]["content"])) is kinds[row["category"]]


def test_no_clause_of_a_customer_is_in_the_general_data(general: list[Row]) -> None:
    words = "\n".join(fold_text(turn["content"]) for row in general for turn in row["messages"])
    clauses = {
        clause for leaf in customer_side.list_leaves(LEXICON) for phrases in leaf.phrases.values() for clause in phrases
    }
    pieces = {fold_text(piece) for clause in clauses for piece in re.split(r"{\w+}|,", clause)}
    long_pieces = [piece for piece in pieces if len(piece.split()) >= 4]
    assert len(long_pieces) > 500
    assert [piece for piece in long_pieces if piece in words] == []


def test_no_comment_is_in_the_general_data(comments: list[Comment], general: list[Row]) -> None:
    texts = {fold_text(turn["content"]) for row in general for turn in row["messages"]}
    comment_texts = [fold_text(comment.text) for comment in comments]
    contents = [fold_text(segment.content or "") for comment in comments for segment in comment.segments]
    assert texts.isdisjoint(comment_texts)
    assert texts.isdisjoint(contents)


def test_no_label_path_is_in_the_general_data(taxonomy: Taxonomy, general: list[Row]) -> None:
    words = "\n".join(turn["content"] for row in general for turn in row["messages"])
    assert '"L1"' not in words
    assert [path for path in taxonomy.leaves if format_path(path) in words] == []


# Functions that make the data


@pytest.mark.parametrize("lang", ["en", "es", "de"])
def test_a_typo_changes_a_word_a_little(lang: str) -> None:
    rng = random.Random(0)
    for word in ("lock", "cerradura", "Türschloss"):
        typos = {customer_side.add_typo(word, rng) for _ in range(50)}
        assert len(typos - {word}) >= 2
        assert all(abs(len(typo) - len(word)) <= 1 and typo[0] == word[0] for typo in typos)
