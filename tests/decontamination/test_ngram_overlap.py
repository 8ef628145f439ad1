"""Overlap with tests is found: an n-gram, a whole short question, or one with a word changed, and nothing else."""

import random
from collections.abc import Iterable

import pytest

from alloy.core.text import split_words
from alloy.decontamination.ngram_overlap import Limits, Overlap, OverlapIndex
from benchmarks.planted_overlap import disguise_texts
from shared_data import read_shared_rows

LIMITS = Limits(ngram_size=13, fuzzy_match_min_words=8)
RUN = [f"word{number}" for number in range(40)]
EIGHT = "how many legs does a spider have then"


def find_overlap(text: str, *questions: str, others: Iterable[str] = (), limits: Limits = LIMITS) -> Overlap | None:
    (found,) = OverlapIndex.from_texts(questions, list(others), limits).find_overlaps([text])
    return found


def find_reason(text: str, *questions: str, limits: Limits = LIMITS) -> str | None:
    found = find_overlap(text, *questions, limits=limits)
    return found.kind if found else None


@pytest.mark.parametrize(("shared", "expected"), [(12, None), (13, "13 words in a row"), (14, "13 words in a row")])
def test_only_runs_of_at_least_13_words_are_an_overlap(shared: int, expected: str | None) -> None:
    text = " ".join(["so", *RUN[5 : 5 + shared], "and", "on"])
    assert find_reason(text, " ".join(RUN)) == expected


@pytest.mark.parametrize("length", [12, 13, 14])
def test_a_question_as_long_as_an_ngram_is_found(length: int) -> None:
    text = " ".join(RUN[:length])
    assert find_reason(text, text) == ("a whole question" if length < 13 else "13 words in a row")


@pytest.mark.parametrize("start", [0, 1, 27])
def test_an_ngram_is_found_anywhere_in_a_text(start: int) -> None:
    run_of_words = " ".join(RUN[start : start + 13])
    assert find_overlap(f"{run_of_words} and more", " ".join(RUN)) == Overlap("13 words in a row", 0, run_of_words)
    assert find_overlap(f"before it {run_of_words}", " ".join(RUN)) == Overlap("13 words in a row", 0, run_of_words)


def test_no_ngram_spans_two_texts() -> None:
    halves = [" ".join(RUN[:7]), " ".join(RUN[7:14])]
    index = OverlapIndex.from_texts([" ".join(RUN)], [], LIMITS)
    assert index.find_overlaps(halves) == [None, None]
    split = OverlapIndex.from_texts([*halves, "else"], [], LIMITS)
    assert split.find_overlaps([" ".join(RUN[:14])]) == [None]


def test_an_ngram_may_span_lines() -> None:
    text = " ".join(RUN[:7]) + "\n" + " ".join(RUN[7:13])
    assert find_reason(text, " ".join(RUN)) == "13 words in a row"


def test_each_text_has_a_separate_result_with_the_first_test() -> None:
    index = OverlapIndex.from_texts(["what is it", EIGHT, "what is it"], [" ".join(RUN)], LIMITS)
    texts = ["", "What is it?", "nothing of the kind", EIGHT, "", " ".join(RUN[3:20]), "..."]
    owners = [owner.test if owner else None for owner in index.find_overlaps(texts)]
    assert owners == [None, 0, None, 1, None, 3, None]


def test_texts_that_are_not_questions_do_not_count_as_a_whole() -> None:
    assert find_overlap(EIGHT, others=[EIGHT]) is None
    assert find_overlap(" ".join(RUN[:13]), others=[" ".join(RUN)]) is not None


WHOLE = {
    "verbatim": "How many legs does a spider have then?",
    "in capitals": "HOW MANY LEGS DOES A SPIDER HAVE THEN",
    "in other spaces": " how   many\tlegs does a\u00a0spider have then ",
    "without punctuation": "How many legs, does a spider (have) then...",
    "over several lines": "How many legs\ndoes a spider\nhave then?",
    "a line of several": "Answer this.\nHow many legs does a spider have then?\nEight.",
    "a line that ends as on Windows": "Answer this.\r\nHow many legs does a spider have then?\r\nEight.",
}


@pytest.mark.parametrize("text", WHOLE.values(), ids=WHOLE)
def test_a_short_question_is_found_whole(text: str) -> None:
    assert find_overlap(text, "How many legs does a spider have then?") == Overlap("a whole question", 0, EIGHT)


CHANGED = {
    "replaced": ("how many legs does a beetle have then", "a question with a word changed"),
    "the first replaced": ("so many legs does a spider have then", "a question with a word changed"),
    "the last replaced": ("how many legs does a spider have now", "a question with a word changed"),
    "moved": ("then how many legs does a spider have", "a question with a word changed"),
    "added": ("how many legs does a big spider have then", "a question with a word added"),
    "added in front": ("say how many legs does a spider have then", "a question with a word added"),
    "left out": ("how many legs does spider have then", "a question with a word left out"),
    "two replaced": ("how many eyes does a beetle have then", None),
    "two left out": ("how many legs spider have then", None),
}


@pytest.mark.parametrize(("text", "expected"), CHANGED.values(), ids=CHANGED)
def test_a_question_with_a_word(text: str, expected: str | None) -> None:
    assert find_reason(text, EIGHT) == expected


@pytest.mark.parametrize("kind", ["replaced", "moved", "added", "left out"])
def test_a_question_of_fewer_words_counts_only_whole(kind: str) -> None:
    seven, text = EIGHT.removesuffix(" then"), CHANGED[kind][0].replace(" then", "").replace("then ", "x ")
    assert find_reason(text, seven) is None
    assert find_reason(seven, seven) == "a whole question"


@pytest.mark.parametrize("text", ["", " ", "\n\r\n", "...", "one"])
def test_an_empty_text_and_one_word_are_not_questions(text: str) -> None:
    assert find_overlap(text, text, "one", "", others=["", text]) is None
    assert OverlapIndex.from_texts([], [], LIMITS).find_overlaps([text, EIGHT]) == [None, None]


def test_no_text_has_no_answer() -> None:
    assert OverlapIndex.from_texts([EIGHT], [], LIMITS).find_overlaps([]) == []


SCRIPTS = {
    "German": ("Wie groß ist die Straße nach Köln denn nun?", "WIE GROSS IST DIE STRASSE NACH KÖLN DENN NUN"),
    "decomposed": ("¿Cuál es la señal?", "¿cua\u0301l es la sen\u0303al?"),
    "Japanese": ("ドアの価格は?", "ドアの 価格は。"),
    "Thai": ("ราคาเท่าไร", "ราคา เท่าไร?"),
    "Arabic": ("كم عدد أرجل العنكبوت؟", "كم  عدد أرجل العنكبوت"),
    "signs": ("👍 or 👎", "👍  OR  👎!"),
}


@pytest.mark.parametrize(("question", "text"), SCRIPTS.values(), ids=SCRIPTS)
def test_a_question_is_found_in_any_script(question: str, text: str) -> None:
    assert find_reason(text, question) == "a whole question"


def changed_by_one(question: tuple[str, ...], text: tuple[str, ...], least: int) -> bool:
    """Return by trial whether a word of the question was replaced, moved, added or left out to make the text."""
    if len(question) < least:
        return False
    shorter = {question[:at] + question[at + 1 :] for at in range(len(question))}
    if len(text) == len(question) - 1:
        return text in shorter
    cut = {text[:at] + text[at + 1 :] for at in range(len(text))}
    if len(text) == len(question) + 1:
        return question in cut
    return len(text) == len(question) and bool(shorter & cut)


@pytest.mark.parametrize("seed", range(8))
def test_short_texts_are_found_as_by_brute_force(seed: int) -> None:
    limits = Limits(ngram_size=5, fuzzy_match_min_words=4)
    rng = random.Random(seed)
    questions = [tuple(rng.choices("abc", k=rng.randint(2, 7))) for _ in range(12)]
    texts = [tuple(rng.choices("abc", k=rng.randint(0, 8))) for _ in range(200)]
    found = OverlapIndex.from_texts([" ".join(words) for words in questions], [], limits).find_overlaps(
        [" ".join(words) for words in texts]
    )
    answers = {True: 0, False: 0}
    for text, overlap in zip(texts, found, strict=True):
        runs = {text[at : at + 5] for at in range(len(text) - 4)}
        shares = any(runs & {q[at : at + 5] for at in range(len(q) - 4)} for q in questions)
        expected = (
            shares or text in questions or any(changed_by_one(q, text, limits.fuzzy_match_min_words) for q in questions)
        )
        assert (overlap is not None) == expected, text
        answers[expected] += 1
    assert min(answers.values()) > 20


@pytest.mark.parametrize("length", range(8, 40))
def test_a_question_of_any_length_is_found_with_one_word_changed(length: int) -> None:
    question, index = RUN[:length], OverlapIndex.from_texts([" ".join(RUN[:length])], [], LIMITS)
    replaced = [" ".join([*question[:at], "x", *question[at + 1 :]]) for at in range(length)]
    added = [" ".join([*question[:at], "x", *question[at:]]) for at in range(length + 1)]
    left_out = [" ".join([*question[:at], *question[at + 1 :]]) for at in range(length)]
    assert None not in index.find_overlaps(replaced + added + left_out)


def test_of_200_leaks_of_real_questions_95_percent_are_found_and_no_other_text() -> None:
    rng = random.Random(0)
    questions = [row["question"] for row in read_shared_rows("mmlu/mmlu_test")]
    questions += [row["prompt"] for row in read_shared_rows("ifeval/ifeval_input_data")]
    chosen = rng.sample([text for text in questions if len(split_words(text)) > 1], 200)
    general = [turn["content"] for row in read_shared_rows("general/oasst1_eval953") for turn in row["messages"]]
    found = OverlapIndex.from_texts(questions, [], LIMITS).find_overlaps(
        [text for _, text in disguise_texts(chosen)] + general
    )
    assert sum(overlap is not None for overlap in found[:200]) >= 190
    assert sum(overlap is not None for overlap in found[200:]) <= 0.01 * len(general)
    assert all(found[at] for at in range(200) if at % 4 < 3), "what differs in case and spaces alone is always found"


@pytest.mark.parametrize("mark", ["\u00ad", "\u200b", "\u200e", "\ufeff"])
def test_invisible_characters_do_not_hide_an_overlap(mark: str) -> None:
    text = " ".join(RUN[:20])
    assert find_reason(text.replace("e", f"e{mark}"), text) == "13 words in a row"
