"""The answer that training teaches reads back as it was, and a model's other answers do no harm."""

import json
from typing import Any

import orjson
import pytest

from stages.answer import Answer, parse_answer, render_answer
from stages.comments import Segment, segment_row

LEVELS = ("L1", "L2")
PAIRING = Segment(("Setup", "Pairing"))
TEXT = '[{"L1": "Setup", "L2": "Pairing"}]'
INVALID = Answer((), valid=False)


def parse(text: str) -> Answer:
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
def test_an_answer_reads_back_as_it_was_written(segments: tuple[Segment, ...]) -> None:
    assert parse(render_answer(segments, LEVELS)) == Answer(segments, valid=True)


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
    ],
)
def test_words_around_the_list_are_ignored(text: str) -> None:
    assert parse(text) == Answer((PAIRING,), valid=True)


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
        TEXT[1:],
        '{"L1": "Setup", "L2": "Pairing"}',
        '{"segments": 3}',
        '["Setup", "Pairing"]',
        '[["Setup", "Pairing"]]',
        "[null]",
        "[1, 2]",
        '[{"L1": "Setup"}, "Pairing"]',
        "[{'L1': 'Setup', 'L2': 'Pairing'}]",
        '[{"L1": "Setup", "L2": }]',
        TEXT + TEXT,
    ],
)
def test_what_is_no_list_of_objects_is_invalid_and_empty(text: str) -> None:
    assert parse(text) == INVALID


def test_an_empty_list_is_a_valid_answer_without_segments() -> None:
    assert parse("[]") == Answer((), valid=True)


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
def test_a_segment_without_all_levels_keeps_its_place(item: dict[str, Any], path: tuple[str, str]) -> None:
    answer = parse(json.dumps([item, {"L1": "Setup", "L2": "Pairing"}]))
    assert answer == Answer((Segment(path), PAIRING), valid=True)


def test_keys_that_were_not_asked_for_are_ignored() -> None:
    assert parse('[{"L1": "Setup", "L2": "Pairing", "L3": "x", "why": "so"}]') == Answer((PAIRING,), valid=True)


def test_spaces_around_a_label_are_cut() -> None:
    assert parse('[{"L1": " Setup", "L2": "Pairing\\n", "emotion": " joy "}]').segments == (
        Segment(("Setup", "Pairing"), emotion="joy"),
    )


def test_a_content_or_emotion_that_is_no_string_is_left_out() -> None:
    assert parse('[{"content": 1, "L1": "Setup", "L2": "Pairing", "emotion": ["joy"]}]').segments == (PAIRING,)


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, '[{"L1": ' * 50_000 + "1" + "}]" * 50_000])
def test_an_answer_nested_too_deep_is_invalid(text: str) -> None:
    assert parse(text) == INVALID


def test_an_endless_number_does_no_harm() -> None:
    assert not parse('[{"L1": ' + "7" * 5000 + "}]").segments


def test_every_answer_can_be_written_to_a_file() -> None:
    answer = parse('[{"content": "\\ud83d", "L1": "Setup", "L2": "Pairing"}]')
    orjson.dumps([segment_row(segment, LEVELS) for segment in answer.segments])
