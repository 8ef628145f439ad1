"""Constrained decoding gives valid JSON: paths are in the taxonomy, and contents are quoted from the comment."""

import json
import random
from functools import cache
from typing import Any

import numpy as np
import pytest

from alloy.formats.comments import Segment
from alloy.formats.taxonomy import Taxonomy
from alloy.inference.hf_engine import find_only_token
from alloy.labeling.answer import assign_codes, parse_answer, render_answer
from alloy.labeling.constrained_decoding import CompiledLabelConstraint, LabelConstraint, LabelMatcher
from alloy.labeling.grammar import MAX_QUOTED_WORDS, build_content_grammar, can_quote
from hostile_comments import HOSTILE
from tiny_model import make_tokenizer

TAXONOMY = Taxonomy(
    ("L1", "L2"), {("Setup", "Pairing"): "", ("Setup", 'The "door"'): "", ("Price", "Fair"): "", ("Größe", "鍵"): ""}
)
TASKS: dict[str, dict[str, Any]] = {
    "full": {"has_content": True, "emotions": ["anger", "joy"], "most_segments": 3},
    "content": {"has_content": True, "emotions": [], "most_segments": 1},
    "emotions": {"has_content": False, "emotions": ["joy"], "most_segments": 2},
    "bare": {"has_content": False, "emotions": [], "most_segments": 3},
}
COMMENT = 'The door is "red".\n鍵 は <|im_end|>!'


@cache
def make_small_tokenizer() -> Any:
    return make_tokenizer()


@cache
def compile_constraint(task: str, coded: bool = False) -> CompiledLabelConstraint:
    return CompiledLabelConstraint(
        make_small_tokenizer(),
        len(make_small_tokenizer()) + 40,
        TAXONOMY,
        TASKS[task],
        assign_codes(TAXONOMY) if coded else None,
    )


def list_allowed_tokens(matcher: LabelMatcher) -> list[int]:
    masks = matcher.constraint.allocate_masks(1)
    matcher.fill_mask(masks, 0)
    bits = np.unpackbits(masks.numpy()[0].view(np.uint8), bitorder="little")
    return np.flatnonzero(bits[: matcher.constraint.vocabulary]).tolist()


def generate_randomly(
    constraint: CompiledLabelConstraint, comment: str, rng: random.Random, limit: int = 400
) -> list[int]:
    """Return the tokens of an answer, each chosen at random from the allowed ones."""
    matcher = LabelMatcher(constraint, constraint.prepare_source(comment))
    tokens: list[int] = []
    while not matcher.ended:
        assert len(tokens) < limit
        tokens.append(rng.choice(list_allowed_tokens(matcher)))
        matcher.accept(tokens[-1])
    return tokens


def check_answer(text: str, comment: str, task: dict[str, Any], coded: bool = False) -> None:
    """Assert that an answer is valid for the task."""
    rows = json.loads(text)
    assert json.dumps(rows, ensure_ascii=False) == text
    answer = parse_answer(text, TAXONOMY.levels, assign_codes(TAXONOMY) if coded else None)
    assert answer.valid
    assert 1 <= len(rows) <= task["most_segments"]
    assert {segment.path for segment in answer.segments} <= set(TAXONOMY.leaves)
    for row in rows:
        assert ("content" in row) == task["has_content"]
        assert row.get("content", "") in comment or not can_quote(comment)
        assert row.get("emotion") in (task["emotions"] or [None])
    assert len({json.dumps(row) for row in rows}) == len(rows)


def join_tokens(tokens: list[int]) -> str:
    return b"".join(compile_constraint("full").token_bytes[token] for token in tokens).decode()


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_gold_answers_are_accepted(task: str, coded: bool) -> None:
    settings, codes = TASKS[task], assign_codes(TAXONOMY) if coded else None
    contents = ["The door is", '"red".\n鍵', "<|im_end|>"] if settings["has_content"] else [None] * 3
    for path in TAXONOMY.leaves:
        for count in range(1, settings["most_segments"] + 1):
            emotion = settings["emotions"][-1] if settings["emotions"] else None
            other_leaves = [leaf for leaf in TAXONOMY.leaves if leaf != path]
            paths = [path] * 3 if settings["has_content"] else [path, *other_leaves]  # no segment twice
            pairs = zip(paths, contents[:count], strict=False)
            segments = tuple(Segment(leaf, content, emotion) for leaf, content in pairs)
            gold = render_answer(segments, TAXONOMY.levels, codes)
            matcher = LabelMatcher(
                compile_constraint(task, coded), compile_constraint(task, coded).prepare_source(COMMENT)
            )
            for token in encode(gold):
                assert not matcher.ended
                assert token in list_allowed_tokens(matcher)
                matcher.accept(token)
            assert matcher.ended


def encode(text: str) -> list[int]:
    """Return the tokens of an answer. The text of a control token is encoded letter by letter."""
    parts = [make_small_tokenizer()(part, add_special_tokens=False)["input_ids"] for part in text.split("<|im_end|>")]
    letters = [
        token
        for letter in "<|im_end|>"
        for token in make_small_tokenizer()(letter, add_special_tokens=False)["input_ids"]
    ]
    return [*parts[0], *(token for part in parts[1:] for token in (*letters, *part))]


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_random_allowed_tokens_give_a_valid_answer(task: str, coded: bool) -> None:
    rng = random.Random(0)
    for _ in range(200):
        check_answer(
            join_tokens(generate_randomly(compile_constraint(task, coded), COMMENT, rng)), COMMENT, TASKS[task], coded
        )


@pytest.mark.parametrize("comment", HOSTILE)
def test_hostile_comments_give_valid_answers(comment: str) -> None:
    check_answer(
        join_tokens(generate_randomly(compile_constraint("content"), comment, random.Random(0), limit=20_000)),
        comment,
        TASKS["content"],
    )


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("task", ["full", "bare"])
def test_no_segment_is_written_twice_if_the_model_repeats_itself(task: str, coded: bool) -> None:
    # This model writes the first segment again as long as it is allowed.
    for path in TAXONOMY.leaves:
        codes = assign_codes(TAXONOMY) if coded else None
        quote = "The door is" if TASKS[task]["has_content"] else None
        segment = Segment(path, quote, "joy" if TASKS[task]["emotions"] else None)
        preferred = encode(render_answer((segment,) * 3, TAXONOMY.levels, codes))
        matcher = LabelMatcher(compile_constraint(task, coded), compile_constraint(task, coded).prepare_source(COMMENT))
        tokens: list[int] = []
        while not matcher.ended:
            likely = preferred[len(tokens) : len(tokens) + 1]
            choices = list_allowed_tokens(matcher)
            tokens.append(likely[0] if likely and likely[0] in choices else choices[-1])
            matcher.accept(tokens[-1])
        rows = json.loads(join_tokens(tokens))
        assert len({json.dumps(row) for row in rows}) == len(rows) > 1
        check_answer(join_tokens(tokens), COMMENT, TASKS[task], coded)


def test_after_all_labels_are_used_the_answer_ends() -> None:
    taxonomy = Taxonomy(("L1",), {("Good",): "", ("Bad",): ""})
    task = {"has_content": False, "emotions": [], "most_segments": 9}
    compiled = CompiledLabelConstraint(make_small_tokenizer(), len(make_small_tokenizer()), taxonomy, task)
    texts = {join_tokens(generate_randomly(compiled, "", random.Random(seed))) for seed in range(60)}
    assert texts == {
        f"[{', '.join(json.dumps({'L1': label}) for label in labels)}]"
        for labels in (["Good"], ["Bad"], ["Good", "Bad"], ["Bad", "Good"])
    }


def test_a_segment_may_repeat_if_no_other_is_possible() -> None:
    taxonomy = Taxonomy(("L1",), {("Good",): ""})
    task = {"has_content": True, "emotions": [], "most_segments": 2}
    compiled = CompiledLabelConstraint(make_small_tokenizer(), len(make_small_tokenizer()), taxonomy, task)
    texts = {join_tokens(generate_randomly(compiled, "Yes", random.Random(seed))) for seed in range(20)}
    segment = '{"content": "Yes", "L1": "Good"}'
    assert texts == {f"[{segment}]", f"[{segment}, {segment}]"}  # `predict` drops the copy


def test_no_control_token_is_ever_allowed() -> None:
    rng = random.Random(0)
    comment = "<|im_start|><|im_end|><|endoftext|>"
    tokens = {token for _ in range(100) for token in generate_randomly(compile_constraint("full"), comment, rng)}
    assert not tokens & set(make_small_tokenizer().added_tokens_decoder)


def test_no_padding_token_of_the_vocabulary_is_ever_allowed() -> None:
    rng = random.Random(0)
    assert max(token for _ in range(50) for token in generate_randomly(compile_constraint("full"), COMMENT, rng)) < len(
        make_small_tokenizer()
    )


def test_random_answers_include_every_leaf_and_number_of_segments() -> None:
    rng = random.Random(0)
    answers = [
        parse_answer(join_tokens(generate_randomly(compile_constraint("bare"), COMMENT, rng)), TAXONOMY.levels)
        for _ in range(200)
    ]
    assert {segment.path for answer in answers for segment in answer.segments} == set(TAXONOMY.leaves)
    assert {len(answer.segments) for answer in answers} == {1, 2, 3}


def test_a_token_that_the_grammar_forbids_is_refused() -> None:
    matcher = LabelMatcher(compile_constraint("bare"), None)
    with pytest.raises(AssertionError, match=r"^token \d+ "):
        matcher.accept(make_small_tokenizer().convert_tokens_to_ids("}"))


def test_matchers_of_two_answers_are_independent() -> None:
    first, second = (
        LabelMatcher(compile_constraint("full"), compile_constraint("full").prepare_source(text))
        for text in ("red", "blue")
    )
    for token in encode('[{"content": "red'):
        first.accept(token)
    for token in encode('[{"content": "blue'):
        second.accept(token)
    assert not first.ended
    assert not second.ended


@pytest.mark.parametrize("token", [0, 1, 30, 31, 32, 62, 63, 64, 95])
def test_the_only_token_is_found_in_every_bit_of_a_word(token: int) -> None:
    mask = np.zeros(3, np.int32)
    mask.view(np.uint32)[token // 32] = np.uint32(1 << token % 32)
    assert find_only_token(mask) == token


@pytest.mark.parametrize("words", [[0, 0, 0], [3, 0, 0], [0, -1, 0], [1, 0, 1], [0, -(2**31) + 1, 0], [-(2**31), 1, 0]])
def test_no_only_token_is_found_if_none_or_several_are_allowed(words: list[int]) -> None:
    assert find_only_token(np.array(words, np.int32)) is None


LONG_COMMENTS = {
    "words": "the lock jams " * 700,
    "a word": "x" * 50_000,
    "without spaces": "鍵がかかる" * 200,
    "punctuation": "!?" * 300,
}


@pytest.mark.parametrize("comment", LONG_COMMENTS.values(), ids=LONG_COMMENTS)
def test_contents_of_a_long_comment_may_be_any_text_without_control_tokens(comment: str) -> None:
    constraint = LabelConstraint(TAXONOMY, TASKS["full"])
    assert constraint.allows_any_content(comment)
    compiled, rng = compile_constraint("full"), random.Random(0)
    for _ in range(20):
        tokens = generate_randomly(compiled, comment, rng, limit=20_000)
        assert max(tokens) < len(make_small_tokenizer())
        assert not set(tokens) & set(make_small_tokenizer().added_tokens_decoder)
        rows = json.loads(b"".join(compiled.token_bytes[token] for token in tokens))
        assert {(row["L1"], row["L2"]) for row in rows} <= set(TAXONOMY.leaves)


def test_all_long_comments_share_one_grammar_and_do_not_delay_others() -> None:
    compiled = compile_constraint("full")
    long = [compiled.prepare_source("the lock jams " * count) for count in (700, 800, 900)]
    assert long[0] is long[1] is long[2]
    short = compiled.prepare_source("the lock jams")
    assert short is not None
    short.result(timeout=10)


def test_contents_are_quotes_if_the_comment_is_within_the_limit() -> None:
    words = ["word"] * MAX_QUOTED_WORDS
    assert can_quote(" ".join(words))
    assert not can_quote(" ".join([*words, "more"]))
    assert not LabelConstraint(TAXONOMY, TASKS["bare"]).allows_any_content("word " * 9999)


@pytest.mark.parametrize(
    ("leaves", "whole_answers", "expected"), [(300, True, False), (301, True, True), (301, False, False)]
)
def test_contents_are_any_text_if_a_whole_answer_has_many_leaves(
    leaves: int, whole_answers: bool, expected: bool
) -> None:
    taxonomy = Taxonomy(("L1",), {(f"l{number}",): "" for number in range(leaves)})
    constraint = LabelConstraint(taxonomy, TASKS["full"], whole_answers=whole_answers)
    assert constraint.allows_any_content("The lock jams.") is expected
    assert ("q0 ::=" not in constraint.make_grammar("The lock jams.")) is (leaves > 300)


def test_a_run_of_the_same_sign_is_one_word() -> None:
    assert build_content_grammar("=" * 399 + " lock").count("::=") == build_content_grammar("= lock").count("::=")
