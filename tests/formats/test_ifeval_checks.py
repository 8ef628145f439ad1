"""Answers are verified as by lm-eval, with the real sentence model, offline and deterministically."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from alloy.formats.ifeval_checks import load_verifiers, verify_answer

ROOT = Path(__file__).parents[2]
# Without the sentence model, which knows abbreviations, the first four texts have 3, 5, 3 and 5 sentences.
SENTENCE_COUNTS = {
    "Dr. Smith went to Washington. He arrived on Monday.": 2,
    "Mr. and Mrs. Jones live in St. Louis. They have a dog.": 2,
    "The U.S. economy grew by 3.5 percent. Prices fell.": 2,
    "Prof. Miller, Ph.D., spoke for Acme Inc. in Jan. 2020. Nobody listened!": 2,
    "They met at 5 p.m. on Tuesday. Then they left.": 2,
    "J. R. R. Tolkien wrote it. C. S. Lewis read it.": 2,
    "Is it true? Yes! It is.": 3,
    "One sentence without a stop": 1,
}
OFFLINE_CODE = """
import socket
def no_network(*_):
    raise OSError("a network was requested")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = no_network
from alloy.formats.ifeval_checks import verify_answer as verify
row = {"key": 1, "prompt": "?", "instruction_id_list": ["length_constraints:number_sentences"],
       "kwargs": [{"num_sentences": 2, "relation": "at least"}]}
print([verify(row, [text])["prompt_level_strict_acc"] for text in ("Dr. Smith left.", "Dr. Smith left. He ran.")])
"""


def make_row(name: str, **kwargs: object) -> dict:
    return {"key": 7, "prompt": "Say it.", "instruction_id_list": [name], "kwargs": [kwargs]}


def is_followed(answer: str, name: str, **kwargs: object) -> bool:
    return verify_answer(make_row(name, **kwargs), [answer])["prompt_level_strict_acc"]


@pytest.mark.parametrize(("text", "count"), SENTENCE_COUNTS.items())
def test_abbreviations_do_not_end_a_sentence(text: str, count: int) -> None:
    name = "length_constraints:number_sentences"
    assert is_followed(text, name, num_sentences=count, relation="at least")
    assert is_followed(text, name, num_sentences=count + 1, relation="less than")
    assert not is_followed(text, name, num_sentences=count + 1, relation="at least")


@pytest.mark.slow
def test_no_network_and_no_files_in_the_home_folder_are_needed(tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    result = subprocess.run([sys.executable, "-c", OFFLINE_CODE], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "[False, True]\n", "")
    assert list(tmp_path.iterdir()) == []


def test_words_in_capitals_are_counted() -> None:
    name = "change_case:capital_word_frequency"
    assert is_followed("THE LAMP is ON.", name, capital_frequency=3, capital_relation="at least")
    assert not is_followed("THE LAMP is on.", name, capital_frequency=3, capital_relation="at least")


def test_language_detection_is_deterministic() -> None:
    # Too short for a certain result: without a seed, langdetect returns different languages.
    answers = [is_followed("no la una die", "language:response_language", language="es") for _ in range(30)]
    assert len(set(answers)) == 1
    assert is_followed("Ich habe keine Zeit, morgen vielleicht.", "language:response_language", language="de")


def test_random_arguments_are_deterministic_and_leave_other_random_state_unchanged() -> None:
    # As in two prompts of IFEval: for lm-eval, '#' is not a letter, and a random letter is used.
    row = make_row("keywords:letter_frequency", letter="#", let_frequency=2, let_relation="at least")
    results = []
    for seed in range(20):
        random.seed(seed)
        results.append(verify_answer(row, ["aabbccdd ffgghh jjkkll"]))
        assert random.random() == random.Random(seed).random()
    assert all(result == results[0] for result in results)


def test_an_empty_answer_follows_nothing() -> None:
    assert not is_followed("", "punctuation:no_comma")
    assert not is_followed(" \n", "punctuation:no_comma")


def test_there_are_25_kinds_of_instructions() -> None:
    assert len(load_verifiers()) == 25


@pytest.mark.parametrize("answer", ["[" * 1280, "[" * 100_000, '{"a":' * 100_000, "x\n" + "[" * 100_000])
def test_deeply_nested_json_is_not_followed(answer: str) -> None:
    row = {**make_row("detectable_format:json_format"), "kwargs": [{}, {}]}
    row["instruction_id_list"] = ["detectable_format:json_format", "punctuation:no_comma"]
    assert verify_answer(row, [answer])["inst_level_strict_acc"] == [False, True]
    assert is_followed("[[1]]", "detectable_format:json_format")
