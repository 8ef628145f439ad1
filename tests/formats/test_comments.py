"""A canonical row becomes a comment, or is refused with the reason and the mend."""

from typing import Any

import pytest

from alloy.core.text import fold_text, text_hash, text_key, unit_hash
from alloy.formats.comments import Comment, Segment, parse_comment, segment_row
from alloy.formats.taxonomy import Taxonomy

TAXONOMY = Taxonomy(("L1", "L2"), {("Setup", "Pairing"): "", ("Setup", "Easy setup"): "", ("Price", "Fair"): ""})
FLAT = Taxonomy(("L1",), {("Praise",): "", ("Problem",): ""})
PAIRING = {"L1": "Setup", "L2": "Pairing"}


def row(*segments: Any, **more: Any) -> dict[str, Any]:
    return {"id": "c1", "text": "It does not pair.", "segments": list(segments or [PAIRING]), **more}


def fault(given: dict[str, Any]) -> str:
    with pytest.raises(ValueError) as caught:
        parse_comment(given, TAXONOMY)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_full_row_becomes_a_comment() -> None:
    given = row({"content": "no pair", **PAIRING, "emotion": "anger"}, {"L1": "Price", "L2": "Fair"}, lang="en")
    segments = (Segment(("Setup", "Pairing"), "no pair", "anger"), Segment(("Price", "Fair")))
    assert parse_comment(given, TAXONOMY) == Comment("c1", "It does not pair.", segments, "en", None)


def test_a_taxonomy_of_one_level_needs_one_label() -> None:
    assert parse_comment(row({"L1": "Praise"}), FLAT).segments == (Segment(("Praise",)),)


def test_spaces_around_a_label_do_not_matter() -> None:
    assert parse_comment(row({"L1": " Setup ", "L2": "Pairing\n"}), TAXONOMY).segments[0].path == ("Setup", "Pairing")


def test_the_text_and_the_content_stay_as_they_are() -> None:
    given = row({"content": "  ¡No  vá! ", **PAIRING}, text="  ¡No  vá! \n")
    comment = parse_comment(given, TAXONOMY)
    assert (comment.text, comment.segments[0].content) == ("  ¡No  vá! \n", "  ¡No  vá! ")


@pytest.mark.parametrize("split", ["train", "test", None])
def test_a_given_split_is_kept(split: str | None) -> None:
    assert parse_comment(row(split=split), TAXONOMY).split == split


def test_a_comment_goes_back_to_its_row_without_what_it_does_not_have() -> None:
    bare, full = row(), row({"content": "x", **PAIRING, "emotion": "joy"}, lang="de")
    assert parse_comment(bare, TAXONOMY).to_row(("L1", "L2")) == bare
    assert parse_comment(full, TAXONOMY).to_row(("L1", "L2")) == full


def test_the_keys_of_a_segment_have_the_order_of_the_answer() -> None:
    segment = Segment(("Setup", "Pairing"), "x", "joy")
    assert list(segment_row(segment, ("L1", "L2"))) == ["content", "L1", "L2", "emotion"]


def test_null_is_absent() -> None:
    given = row({**PAIRING, "content": None, "emotion": None, "L3": None}, lang=None, split=None)
    assert parse_comment(given, TAXONOMY) == parse_comment(row(), TAXONOMY)


@pytest.mark.parametrize(
    "label", ["Pai\u00adring", "\u200bPairing\ufeff", "\u00a0Pairing\u3000", "Pairing\u200d", "Pair\x00ing"]
)
def test_what_cannot_be_seen_in_a_label_does_not_matter(label: str) -> None:
    segment = parse_comment(row({"L1": "Setup", "L2": label, "emotion": f"{label} "}), TAXONOMY).segments[0]
    assert segment == Segment(("Setup", "Pairing"), None, "Pairing")


def test_accents_may_be_encoded_in_two_ways() -> None:
    taxonomy = Taxonomy(("L1",), {("Caf\u00e9",): ""})
    assert parse_comment(row({"L1": "Cafe\u0301"}), taxonomy).segments[0].path == ("Caf\u00e9",)


NO_ID = "`id` is missing, empty or not a string; give each comment its own id"
NO_TEXT = "comment 'c1': `text` is missing or empty; give the comment or drop the row"
NO_SEGMENTS = "comment 'c1': `segments` is missing or empty; label at least one segment"
FAULTS = {
    "no id": ({"text": "x", "segments": [PAIRING]}, NO_ID),
    "a number as id": (row(id=7), NO_ID),
    "an empty id": (row(id=""), NO_ID),
    "no text": ({"id": "c1", "segments": [PAIRING]}, NO_TEXT),
    "null as text": (row(text=None), NO_TEXT),
    "a blank text": (row(text=" \n\t"), NO_TEXT),
    "a text that cannot be seen": (row(text="\u200b\u3164\ufeff"), NO_TEXT),
    "null as a level": (row({"L1": "Setup", "L2": None}), "a segment has levels L1; the taxonomy has L1..L2"),
    "a misspelled text": (
        {"id": "c1", "Text": "x", "segments": [PAIRING]},
        "comment 'c1': `text` is missing or empty (did you mean it by `Text`?); give the comment",
    ),
    "a misspelled list": (
        {"id": "c1", "text": "x", "segment": [PAIRING]},
        "comment 'c1': `segments` is missing or empty (did you mean it by `segment`?); label at least one",
    ),
    "no segments": ({"id": "c1", "text": "x"}, NO_SEGMENTS),
    "an empty list": ({"id": "c1", "text": "x", "segments": []}, NO_SEGMENTS),
    "an object for the list": ({"id": "c1", "text": "x", "segments": PAIRING}, NO_SEGMENTS),
    "an unknown split": (row(split="dev"), "comment 'c1': split 'dev' is unknown; write train or test, or leave it"),
    "a label as segment": (row("Setup"), "comment 'c1': a segment is not an object; write {L1, L2, ..}"),
    "a level too few": (row({"L1": "Setup"}), "a segment has levels L1; the taxonomy has L1..L2"),
    "a level too many": (row({**PAIRING, "L3": "x"}), "a segment has levels L1,L2,L3; the taxonomy has L1..L2"),
    "no level": (row({"content": "x"}), "a segment has levels none; the taxonomy has L1..L2"),
    "an unknown field": (
        row({**PAIRING, "mood": "x"}),
        "a segment has the unknown field `mood`; known are L1, L2, con",
    ),
    "a number as label": (row({"L1": "Setup", "L2": 3}), "`L2` of a segment is 3; write a string"),
    "a list as content": (row({**PAIRING, "content": []}), "`content` of a segment is []; write a string"),
    "a misspelt label": (
        row({"L1": "Setup", "L2": "Easy"}),
        "label 'Setup > Easy' is not in the taxonomy (did you mean 'Setup > Easy setup'?)",
    ),
    "labels of two branches": (row({"L1": "Price", "L2": "Pairing"}), "label 'Price > Pairing' is not in the taxonomy"),
    "an empty label": (row({"L1": "Setup", "L2": ""}), "`L2` of a segment is empty; give it a value"),
    "a good segment first": (row(PAIRING, {"L1": "Zzz", "L2": "Zzz"}), "label 'Zzz > Zzz' is not in the taxonomy; add"),
}


@pytest.mark.parametrize(("given", "wanted"), FAULTS.values(), ids=FAULTS)
def test_a_bad_row_is_refused_with_reason_and_mend(given: dict[str, Any], wanted: str) -> None:
    assert fault(given).startswith(wanted)


@pytest.mark.parametrize("lang", [3, ["en"]])
def test_a_language_that_is_no_string_is_refused(lang: object) -> None:
    assert "`lang`" in fault(row(lang=lang))


def test_a_wrong_depth_says_how_to_mend_it() -> None:
    assert ";" in fault(row({"L1": "Setup"})).split("the taxonomy has L1..L2")[1]


@pytest.mark.parametrize("copy", ["it works", "IT  Works", " it\tworks\n", "It\u00a0works"])
def test_copies_of_a_text_have_one_normal_form(copy: str) -> None:
    assert fold_text(copy) == "it works"


def test_texts_that_differ_in_more_than_case_and_space_differ() -> None:
    assert len({fold_text(text) for text in ("it works", "itworks", "it works.", "it work")}) == 4


def test_a_hash_is_the_same_on_every_machine() -> None:
    # The first eight bytes of SHA-256 of nothing.
    assert text_key("") == 0xE3B0C44298FC1C14
    assert unit_hash("") == 0xE3B0C44298FC1C14 / 2**64
    assert unit_hash("schön") != unit_hash("schon")


def test_the_hash_of_a_text_is_the_beginning_of_its_sha_256() -> None:
    assert text_hash("abc") == "ba7816bf8f01cfea"
    assert len({text_hash(text) for text in ("abc", "abc ", "Abc")}) == 3
    assert f"{text_key('abc'):016x}" == text_hash("abc")


def test_a_key_fits_eight_bytes() -> None:
    assert all(0 <= text_key(str(number)) < 2**64 for number in range(1000))


def test_hashes_are_spread_evenly() -> None:
    tenths = [0] * 10
    for number in range(5000):
        tenths[int(unit_hash(str(number)) * 10)] += 1
    assert min(tenths) > 420  # 500 wanted, deviation 21
    assert max(tenths) < 580
