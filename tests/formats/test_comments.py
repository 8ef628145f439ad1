"""A canonical row becomes a comment, or raises an error that names the comment, the key and the value."""

from typing import Any

import pytest

from alloy.core.text import fold_text, hash_text, hash_to_uint64, hash_to_unit_interval
from alloy.formats.comments import Comment, Segment, make_segment_row, parse_comment
from alloy.formats.taxonomy import Taxonomy

TAXONOMY = Taxonomy(("L1", "L2"), {("Setup", "Pairing"): "", ("Setup", "Easy setup"): "", ("Price", "Fair"): ""})
ONE_LEVEL = Taxonomy(("L1",), {("Praise",): "", ("Problem",): ""})
PAIRING = {"L1": "Setup", "L2": "Pairing"}


def make_row(*segments: Any, **fields: Any) -> dict[str, Any]:
    return {"id": "c1", "text": "It does not pair.", "segments": list(segments or [PAIRING]), **fields}


def parse_error(row: dict[str, Any]) -> str:
    with pytest.raises(ValueError) as caught:
        parse_comment(row, TAXONOMY)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_full_row_becomes_a_comment() -> None:
    row = make_row({"content": "no pair", **PAIRING, "emotion": "anger"}, {"L1": "Price", "L2": "Fair"}, lang="en")
    segments = (Segment(("Setup", "Pairing"), "no pair", "anger"), Segment(("Price", "Fair")))
    assert parse_comment(row, TAXONOMY) == Comment("c1", "It does not pair.", segments, "en", None)


def test_a_taxonomy_of_one_level_needs_one_label() -> None:
    assert parse_comment(make_row({"L1": "Praise"}), ONE_LEVEL).segments == (Segment(("Praise",)),)


def test_spaces_around_a_label_are_ignored() -> None:
    assert parse_comment(make_row({"L1": " Setup ", "L2": "Pairing\n"}), TAXONOMY).segments[0].path == (
        "Setup",
        "Pairing",
    )


def test_text_and_content_are_not_changed() -> None:
    row = make_row({"content": "  ¡No  vá! ", **PAIRING}, text="  ¡No  vá! \n")
    comment = parse_comment(row, TAXONOMY)
    assert (comment.text, comment.segments[0].content) == ("  ¡No  vá! \n", "  ¡No  vá! ")


@pytest.mark.parametrize("split", ["train", "test", None])
def test_a_given_split_is_kept(split: str | None) -> None:
    assert parse_comment(make_row(split=split), TAXONOMY).split == split


def test_a_comment_is_written_back_without_absent_fields() -> None:
    bare, full = make_row(), make_row({"content": "x", **PAIRING, "emotion": "joy"}, lang="de")
    assert parse_comment(bare, TAXONOMY).to_row(("L1", "L2")) == bare
    assert parse_comment(full, TAXONOMY).to_row(("L1", "L2")) == full


def test_the_keys_of_a_segment_have_the_order_of_the_answer() -> None:
    segment = Segment(("Setup", "Pairing"), "x", "joy")
    assert list(make_segment_row(segment, ("L1", "L2"))) == ["content", "L1", "L2", "emotion"]


def test_null_counts_as_absent() -> None:
    row = make_row({**PAIRING, "content": None, "emotion": None, "L3": None}, lang=None, split=None)
    assert parse_comment(row, TAXONOMY) == parse_comment(make_row(), TAXONOMY)


WITH_HIGHER_LEAVES = Taxonomy(
    ("L1", "L2", "L3"), {("A", "(none)", "(none)"): "", ("A", "(none)", "C"): "", ("A", "B", "C"): ""}
)


@pytest.mark.parametrize(
    ("segment", "path"),
    [
        ({"L1": "A", "L2": None, "L3": None}, ("A", "(none)", "(none)")),
        ({"L1": "A"}, ("A", "(none)", "(none)")),
        ({"L1": "A", "L2": None, "L3": "C"}, ("A", "(none)", "C")),
        ({"content": "x", "L1": "A", "L3": "C", "L2": "B", "emotion": None}, ("A", "B", "C")),
    ],
)
def test_a_null_level_is_none_as_an_empty_cell_of_a_table(segment: dict[str, Any], path: tuple[str, ...]) -> None:
    assert parse_comment(make_row(segment), WITH_HIGHER_LEAVES).segments[0].path == path


@pytest.mark.parametrize(
    "segment", [{"L1": None, "L2": "B", "L3": "C"}, {"L1": "A", "L2": "B", "L3": None}, {"L1": "A", "L2": 3}]
)
def test_a_null_level_of_an_unknown_path_is_an_error(segment: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected L1,L2,L3 "):
        parse_comment(make_row(segment), WITH_HIGHER_LEAVES)


@pytest.mark.parametrize(
    "label", ["Pai\u00adring", "\u200bPairing\ufeff", "\u00a0Pairing\u3000", "Pairing\u200d", "Pair\x00ing"]
)
def test_invisible_characters_in_a_label_are_ignored(label: str) -> None:
    segment = parse_comment(make_row({"L1": "Setup", "L2": label, "emotion": f"{label} "}), TAXONOMY).segments[0]
    assert segment == Segment(("Setup", "Pairing"), None, "Pairing")


def test_accents_may_be_encoded_in_two_ways() -> None:
    taxonomy = Taxonomy(("L1",), {("Caf\u00e9",): ""})
    assert parse_comment(make_row({"L1": "Cafe\u0301"}), taxonomy).segments[0].path == ("Caf\u00e9",)


NAME = "comment 'c1'"
INVALID_ROWS = {  # a row, and the comment, key and value in its error
    "a missing id": ({"text": "x", "segments": [PAIRING]}, ("`id`",)),
    "a number as id": (make_row(id=7), ("`id`",)),
    "an empty id": (make_row(id=""), ("`id`",)),
    "a missing text": ({"id": "c1", "segments": [PAIRING]}, (NAME, "`text`")),
    "a null text": (make_row(text=None), (NAME, "`text`")),
    "a blank text": (make_row(text=" \n\t"), (NAME, "`text`")),
    "an invisible text": (make_row(text="\u200b\u3164\ufeff"), (NAME, "`text`")),
    "a null level": (make_row({"L1": "Setup", "L2": None}), ("levels L1;", "expected L1,L2 ")),
    "a misspelled text key": ({"id": "c1", "Text": "x", "segments": [PAIRING]}, (NAME, "`text`", "`Text`?")),
    "a misspelled segments key": ({"id": "c1", "text": "x", "segment": [PAIRING]}, (NAME, "`segments`", "`segment`?")),
    "missing segments": ({"id": "c1", "text": "x"}, (NAME, "`segments`")),
    "empty segments": ({"id": "c1", "text": "x", "segments": []}, (NAME, "`segments`")),
    "an object instead of segments": ({"id": "c1", "text": "x", "segments": PAIRING}, (NAME, "`segments`")),
    "an unknown split": (make_row(split="dev"), (NAME, "`split`", "'dev'")),
    "a string instead of a segment": (make_row("Setup"), (NAME, '"L1"', "'Setup'")),
    "a missing level": (make_row({"L1": "Setup"}), ("levels L1;", "expected L1,L2 ")),
    "an extra level": (make_row({**PAIRING, "L3": "x"}), ("levels L1,L2,L3;", "expected L1,L2 ")),
    "a segment without levels": (make_row({"content": "x"}), ("levels none;", "expected L1,L2 ")),
    "an unknown field": (make_row({**PAIRING, "mood": "x"}), ("`mood`", "L1, L2, content, emotion")),
    "a number as label": (make_row({"L1": "Setup", "L2": 3}), ("`L2`", " 3")),
    "a list as content": (make_row({**PAIRING, "content": []}), ("`content`", "[]")),
    "a misspelled label": (make_row({"L1": "Setup", "L2": "Easy"}), ("'Setup > Easy'", "'Setup > Easy setup'?")),
    "labels of two branches": (make_row({"L1": "Price", "L2": "Pairing"}), ("'Price > Pairing'",)),
    "an empty label": (make_row({"L1": "Setup", "L2": ""}), ("`L2`", "empty")),
    "an invalid segment after a valid segment": (make_row(PAIRING, {"L1": "Zzz", "L2": "Zzz"}), ("'Zzz > Zzz'",)),
}


@pytest.mark.parametrize(("row", "parts"), INVALID_ROWS.values(), ids=INVALID_ROWS)
def test_the_error_of_an_invalid_row_names_comment_key_and_value(row: dict[str, Any], parts: tuple[str, ...]) -> None:
    error = parse_error(row)
    assert all(part in error for part in parts), error


def test_an_error_suggests_a_key_only_if_one_is_similar() -> None:
    assert "did you mean" not in parse_error({"id": "c1", "segments": [PAIRING]})
    assert "did you mean" not in parse_error(make_row({"L1": "Zzz", "L2": "Zzz"}))


@pytest.mark.parametrize("lang", [3, ["en"]])
def test_a_language_that_is_not_a_string_is_an_error(lang: object) -> None:
    assert "`lang`" in parse_error(make_row(lang=lang))


@pytest.mark.parametrize("copy", ["it works", "IT  Works", " it\tworks\n", "It\u00a0works"])
def test_copies_of_a_text_have_one_normal_form(copy: str) -> None:
    assert fold_text(copy) == "it works"


def test_texts_that_differ_in_more_than_case_and_space_differ() -> None:
    assert len({fold_text(text) for text in ("it works", "itworks", "it works.", "it work")}) == 4


def test_a_hash_is_the_same_on_every_machine() -> None:
    # The first eight bytes of the SHA-256 of an empty text.
    assert hash_to_uint64("") == 0xE3B0C44298FC1C14
    assert hash_to_unit_interval("") == 0xE3B0C44298FC1C14 / 2**64
    assert hash_to_unit_interval("schön") != hash_to_unit_interval("schon")


def test_the_hash_of_a_text_is_the_beginning_of_its_sha_256() -> None:
    assert hash_text("abc") == "ba7816bf8f01cfea"
    assert len({hash_text(text) for text in ("abc", "abc ", "Abc")}) == 3
    assert f"{hash_to_uint64('abc'):016x}" == hash_text("abc")


def test_a_key_fits_eight_bytes() -> None:
    assert all(0 <= hash_to_uint64(str(number)) < 2**64 for number in range(1000))


def test_hashes_are_spread_evenly() -> None:
    tenths = [0] * 10
    for number in range(5000):
        tenths[int(hash_to_unit_interval(str(number)) * 10)] += 1
    assert min(tenths) > 420  # 500 expected, deviation 21
    assert max(tenths) < 580
