"""Loops of models are found; text that people repeat on purpose is not a loop."""

from pathlib import Path

import pytest

from alloy.core.files import find_files, is_jsonl, stream_jsonl
from alloy.core.repetition import compute_repeated_ngram_share, find_final_loop, is_looping

SHARED = Path(__file__).parents[3] / "shared/data/general"

# What the demo's base model answered to general prompts, greedily; it ended them by itself, or they are cut here.
LOOPS = {
    "copy": '"picks pleasantly pleasantly pleasantly pleasantly long long long long long long"',
    "quote": '"papá manual play Recordings manual Also Also Also Also Also Also Also Also"',
    "list": '["bearer", "bear noticeably noticeably noticeably noticeably noticeably noticeably"]',
    "Spanish": '"sía vecino vecino vecino vecino vecino vecino"',
    "hyphens": '["flor-sharp-sharp-sharp-sharp-sharp-sharp-sharp-sharp-sharp-sharp-sharp-sharp',
    "sentence": "The lamp is in the hall. " + "It is on at seven. " * 3,
    "cut sentence": "The lamp is in the hall. " + "It is on at seven. " * 4 + "It is on",
    "without spaces": "灯在大厅里。" + "七点开灯。" * 3,
    "loop with an end": "First, " + "the lamp is on, " * 9 + "and that is all there is to say.",
    "lines": "1. Buy a lock.\n" * 8,
    "within a word": "O" + "wo" * 30,
    "within a word with an end": "The answer is tiet" + "iet" * 12 + "ussluss.",
    "one letter": "No" + "o" * 30,
}

ORDINARY_TEXTS = {
    "an empty text": "",
    "a word": "B",
    "a short answer": "It is 4. 2 + 2 = 4.",
    "a repetition": "Yes, yes. Yes, yes.",
    "table": "| a | b | c |\n|---|---|---|\n| 1 | 0 | 0 |\n| 0 | 1 | 0 |\n| 0 | 0 | 1 |",
    "code": "int f(int x) {\n    if (x) {\n        while (y) {\n            y--;\n        }\n    }\n}\n",
    "numbers": "1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144",
    "a large number": "It is 1000000000000000000000000000000.",
    "laughter": "hahahahahaha, no!",
    "a line": "-" * 60 + "\n" + "_" * 60,
    "steps": "5 * 3 = <<5*3=15>>15. 15 + 3 = <<15+3=18>>18. 18 / 2 = <<18/2=9>>9.\n#### 9",
    "poem": (
        "Row, row, row your boat, gently down the stream.\nMerrily, merrily, merrily, merrily, life is but a dream.\n"
        "Row, row, row your boat, gently down the stream.\nIf you see a crocodile, don't forget to scream."
    ),
    "dots": "Well ............................ no.",
    "matrix": r"\begin{pmatrix} 1 & 0 & 0 \\ 0 & 1 & 0 \\ 0 & 0 & 1 \end{pmatrix}",
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_is_found(name):
    assert is_looping(LOOPS[name])


@pytest.mark.parametrize("name", ORDINARY_TEXTS)
def test_text_without_a_loop_is_not_a_loop(name):
    assert not is_looping(ORDINARY_TEXTS[name])


def test_the_phrase_at_the_end_is_counted_in_words():
    assert find_final_loop(list("xabcabcabc")) == 3
    assert find_final_loop(list("xaaaaaa")) == 2
    assert find_final_loop(list("abcabcabcx")) == 0
    assert find_final_loop(list("xabcabc")) == 0
    assert find_final_loop([]) == 0


def test_the_share_counts_n_grams_that_occur_earlier_in_the_text():
    assert compute_repeated_ngram_share(list("abcdefg")) == 0
    assert compute_repeated_ngram_share(list("abcdabcd")) == pytest.approx(1 / 5)
    assert compute_repeated_ngram_share(list("aaaaaaaa")) == pytest.approx(4 / 5)
    assert compute_repeated_ngram_share(list("abc")) == 0


def test_almost_no_reference_answer_is_a_loop():
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: the real general data cannot be read")
    answers = [
        row["messages"][-1]["content"] for file in find_files(SHARED, is_jsonl, "no file") for row in stream_jsonl(file)
    ]
    assert (sum(map(is_looping, answers)), len(answers)) == (8, 98_460)
