"""Training answers are parsed back unchanged, and other answers of models do not crash the parser."""

import json
from typing import Any

import orjson
import pytest

from alloy.formats.comments import Segment, make_segment_row
from alloy.formats.taxonomy import Taxonomy
from alloy.labeling.answer import Answer, assign_codes, parse_answer, render_answer
from hostile_comments import HOSTILE

LEVELS = ("L1", "L2")
PAIRING = Segment(("Setup", "Pairing"))
TEXT = '[{"L1": "Setup", "L2": "Pairing"}]'
INVALID_ANSWER = Answer((), valid=False)
TAXONOMY = Taxonomy(
    LEVELS, {("Setup", "Pairing"): "", ("Price", "Fair"): "", **{("Many", f"{n}"): "" for n in range(9)}}
)
CODES = assign_codes(TAXONOMY)


def parse_text(text: str) -> Answer:
    return parse_answer(text, LEVELS)


@pytest.mark.parametrize(
    "segments",
    [
        (PAIRING,),
        (PAIRING, PAIRING, Segment(("Price", "Fair"))),
        (Segment(("Setup", "Pairing"), "no pair", "anger"), Segment(("Price", "Fair"), emotion="joy")),
        (Segment(("Türschloss", "鍵 🔑"), '¿"Qué" \\ pasa?\n[sí]', "enojo"),),
        (),
    ],
)
def test_an_answer_is_parsed_back_unchanged(segments: tuple[Segment, ...]) -> None:
    assert parse_text(render_answer(segments, LEVELS)) == Answer(segments, valid=True)


def test_the_answer_is_one_line_of_json_that_keeps_every_script() -> None:
    text = render_answer((Segment(("Türschloss", "鍵"), "zwei\nZeilen", "Ärger"),), LEVELS)
    assert text == '[{"content": "zwei\\nZeilen", "L1": "Türschloss", "L2": "鍵", "emotion": "Ärger"}]'


def test_a_taxonomy_of_one_level_gives_one_label() -> None:
    assert render_answer((Segment(("Praise",)),), ("L1",)) == '[{"L1": "Praise"}]'


@pytest.mark.parametrize(
    "text",
    [
        f"Here it is: {TEXT}",
        f"{TEXT}\nI hope this helps.",
        f"```json\n{TEXT}\n```",
        f"  {TEXT.replace(', ', chr(10))}  ".replace('"Setup"\n', '"Setup",\n'),
        f"<think>Labels are in [brackets], as in [1] or {{this}}.</think>\n{TEXT}",
        f"{TEXT} (see [1])",
        f'A draft: [{{"L1": "Price", "L2": "Fair"}}]\nThe answer: {TEXT}',
        f'[{{"L1": "Price", "L2": "Fair"}}, {{"L1": "Pri\n{TEXT}',
        TEXT + TEXT,
        TEXT[1:-1],
        f"The answer is {TEXT[1:-1]}.",
        f'{{"segments": {TEXT}}}',
        f'{{"answer": {{}}, "segments": {TEXT}, "notes": []}}',
    ],
)
def test_words_around_the_list_are_ignored(text: str) -> None:
    assert parse_text(text) == Answer((PAIRING,), valid=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot label this.",
        "[",
        "]",
        "][",
        TEXT[:-1],
        TEXT[:-5],
        f"[{TEXT[1:-1]}, {TEXT[1:-1]}",
        f'[{TEXT[1:-1]}, {TEXT[1:-1]}, {{"L1": "Set',
        f'{{"segments": [{TEXT[1:-1]}, {{"L1": "Set',
        '{"segments": 3}',
        '{"error": "I cannot label this."}',
        "[{" * 3000,
        "[" * 3000,
        '{"L1": ' * 3000,
        '["Setup", "Pairing"]',
        '[["Setup", "Pairing"]]',
        "[null]",
        "[1, 2]",
        '[{"L1": "Setup"}, "Pairing"]',
        "[{'L1': 'Setup', 'L2': 'Pairing'}]",
        '[{"L1": "Setup", "L2": }]',
    ],
)
def test_text_without_a_list_of_objects_is_invalid_and_empty(text: str) -> None:
    assert parse_text(text) == INVALID_ANSWER


def test_an_empty_list_is_a_valid_answer_without_segments() -> None:
    assert parse_text("[]") == Answer((), valid=True)


@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({"L1": "Setup"}, ("Setup", "")),
        ({"L2": "Pairing"}, ("", "Pairing")),
        ({}, ("", "")),
        ({"L1": "Setup", "L2": 3}, ("Setup", "")),
        ({"L1": None, "L2": ["Pairing"]}, ("", "")),
        ({"L1": {"L2": "Pairing"}}, ("", "")),
        ({"l1": "Setup", "L2": "Pairing"}, ("", "Pairing")),
    ],
)
def test_a_segment_without_all_levels_still_counts(item: dict[str, Any], path: tuple[str, str]) -> None:
    answer = parse_text(json.dumps([item, {"L1": "Setup", "L2": "Pairing"}]))
    assert answer == Answer((Segment(path), PAIRING), valid=True)


def test_unknown_keys_are_ignored() -> None:
    assert parse_text('[{"L1": "Setup", "L2": "Pairing", "L3": "x", "why": "so"}]') == Answer((PAIRING,), valid=True)


def test_spaces_around_a_label_are_removed() -> None:
    assert parse_text('[{"L1": " Setup", "L2": "Pairing\\n", "emotion": " joy "}]').segments == (
        Segment(("Setup", "Pairing"), emotion="joy"),
    )


def test_a_content_or_emotion_that_is_not_a_string_is_left_out() -> None:
    assert parse_text('[{"content": 1, "L1": "Setup", "L2": "Pairing", "emotion": ["joy"]}]').segments == (PAIRING,)


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, '[{"L1": ' * 50_000 + "1" + "}]" * 50_000])
def test_an_answer_that_is_nested_too_deeply_is_invalid(text: str) -> None:
    assert parse_text(text) == INVALID_ANSWER


def test_a_number_of_5000_digits_is_not_a_label() -> None:
    assert not parse_text('[{"L1": ' + "7" * 5000 + "}]").segments


def test_every_answer_can_be_written_to_a_file() -> None:
    answer = parse_text('[{"content": "\\ud83d", "L1": "Setup", "L2": "Pairing"}]')
    orjson.dumps([make_segment_row(segment, LEVELS) for segment in answer.segments])


@pytest.mark.parametrize("codes", [None, CODES], ids=["paths", "codes"])
@pytest.mark.parametrize("content", HOSTILE)
def test_an_answer_with_hostile_content_is_parsed_back_unchanged(
    content: str, codes: dict[tuple[str, ...], str] | None
) -> None:
    segments = (Segment(("Price", "Fair"), content.strip(), "joy"), Segment(("Setup", "Pairing"), "x", "anger"))
    assert parse_answer(render_answer(segments, LEVELS, codes), LEVELS, codes) == Answer(segments, valid=True)


def test_every_code_is_expanded_to_its_path() -> None:
    segments = tuple(Segment(path) for path in TAXONOMY.leaves)
    assert parse_answer(render_answer(segments, LEVELS, CODES), LEVELS, CODES) == Answer(segments, valid=True)


def test_codes_are_short_and_have_equal_length() -> None:
    assert list(CODES.values()) == [f"{number:02}" for number in range(1, 12)]


def test_with_codes_the_label_is_the_code() -> None:
    segment = Segment(("Price", "Fair"), "good", "joy")
    assert render_answer((segment,), LEVELS, CODES) == '[{"content": "good", "label": "02", "emotion": "joy"}]'


def test_spaces_around_a_code_are_removed() -> None:
    assert parse_answer('[{"label": " 01\\n"}]', LEVELS, CODES).segments == (PAIRING,)


@pytest.mark.parametrize("code", ["12", "00", "1", "Setup", "Setup > Pairing", ""])
def test_an_unknown_code_is_an_invented_label_of_the_first_level(code: str) -> None:
    answer = parse_answer(json.dumps([{"label": code}, {"label": "01"}]), LEVELS, CODES)
    assert answer == Answer((Segment((code, "")), PAIRING), valid=True)


@pytest.mark.parametrize(
    "item", [{}, {"label": 1}, {"label": None}, {"L1": "Setup", "L2": "Pairing"}, {"label": ["01"]}]
)
def test_a_segment_without_a_code_still_counts(item: dict[str, Any]) -> None:
    answer = parse_answer(json.dumps([item, {"label": "01"}]), LEVELS, CODES)
    assert answer == Answer((Segment(("", "")), PAIRING), valid=True)


@pytest.mark.parametrize("label", ["Cafe\u0301 bar", "Caf\u00e9\u00a0 bar\u200b", " Caf\u00e9\\nbar "])
def test_a_label_is_read_in_the_spelling_of_the_taxonomy(label: str) -> None:
    (segment,) = parse_text(f'[{{"content": " a  b ", "L1": "{label}", "L2": "x", "emotion": "{label}"}}]').segments
    assert segment == Segment(("Caf\u00e9 bar", "x"), "a  b", "Caf\u00e9 bar")


def test_a_code_is_read_with_any_text_around_it() -> None:
    (segment,) = parse_answer('[{"label": "\u200b 01 "}]', LEVELS, CODES).segments
    assert segment.path == ("Setup", "Pairing")
