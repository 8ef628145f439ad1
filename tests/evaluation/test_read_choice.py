"""A generated answer is read as a letter or as the text of a choice, strictly or leniently."""

import pytest

from alloy.evaluation.read_choice import read_choice, read_letter, read_strict, read_text

# from ../shared/cases/letters.txt, and similar ones
LETTERS = {
    "b": "B",
    "(b)": "B",
    "Option B": "B",
    "The correct option is C": "C",
    r"\boxed{B}": "B",
    r"Thus $\boxed{\text{B}}$.": "B",
    "B or C": "-",
    "A/B": "-",
    "C++ is a language": "-",
    "B-cells are made in marrow": "-",
    "Answer A is wrong; the answer is C": "C",
    "B": "B",
    "A": "A",
    "D": "D",
    " C\n": "C",
    "(C)": "C",
    "[C]": "C",
    "**B**": "B",
    "B.": "B",
    "B)": "B",
    "b)": "B",
    "b) 4": "B",
    "B. 4": "B",
    "B. A dog": "B",
    "A. D": "A",
    "B) 4": "B",
    "B: 4": "B",
    "B - 4": "B",
    "D, because it is right": "D",
    "D because it is right": "D",
    "C is right": "C",
    "C is the correct answer.": "C",
    "A\n\nThis follows from B.": "A",
    "The answer is D": "D",
    "The answer is D.": "D",
    "The answer is A because dogs bark": "A",
    "the answer is: (B)": "B",
    "the answer is (b).": "B",
    "The correct answer is **C**.": "C",
    "The correct answer is option C.": "C",
    "Answer: B": "B",
    "**Answer:** B": "B",
    "The correct answer: B.": "B",
    "I think the answer is B, not C.": "B",
    "I would choose B.": "B",
    "It's B.": "B",
    "Both A and B": "-",
    "The answer is A or C": "-",
    "The answer is B, C and D": "-",
    "B is wrong": "-",
    "": "-",
    "E": "-",
    "The answer is E": "-",
    "ABC": "-",
    "Because": "-",
    "4": "-",
    "I do not know": "-",
    "The answer is 4": "-",
    "The answer is Dublin": "-",
    "D's house": "-",
    "A.I. is new": "-",
    "A dog": "-",
    "A dog has four legs.": "-",
    "a dog": "-",
    "The answer is a dog": "-",
    "The answer is A dog": "-",
    "Is it a cat? A cat.": "-",
    '[{"content": "What is 2 + 2?", "L1": "Setup"}]': "-",
    '[{"L1": "App"}]': "-",
}


@pytest.mark.parametrize(("text", "expected"), LETTERS.items())
def test_the_letter_of_an_answer_is_read(text: str, expected: str) -> None:
    assert read_letter(text) == (None if expected == "-" else "ABCD".index(expected))


@pytest.mark.parametrize(("count", "expected"), [(3, None), (4, 3), (5, 3)])
def test_letters_after_the_last_choice_name_no_choice(count: int, expected: int | None) -> None:
    assert read_letter("The answer is D.", count) == expected


CHOICES = ["Paris", "New York", "St. Louis", "Köln", "York"]
TEXTS = {
    "Paris": 0,
    "It is Paris, of course.": 0,
    "The capital is paris.": 0,
    "NEW  YORK": 1,
    "New\nYork": 1,
    "Surely St. Louis.": 2,
    "It must be Köln!": 3,
    "York": 4,
    "Paris or New York": None,
    "It is a city. Paris, I think.": None,
    "Answer:\nParis": 0,
    "It is not Paris.": None,
    "It is not Paris but Köln.": 3,
    "Parisian": None,
    "": None,
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.items())
def test_the_only_choice_in_the_first_sentence_is_read(text: str, expected: int | None) -> None:
    assert read_text(text, CHOICES) == expected


STRICT = {
    "Paris": 0,
    " paris.\n": 0,
    "NEW YORK": 1,
    "St. Louis.": 2,
    "köln": 3,
    "": None,
    ".": None,
    "Par": None,
    "Paris, of course": None,
    '["Paris"]': None,
    "It is Paris.": None,
}


@pytest.mark.parametrize(("text", "expected"), STRICT.items())
def test_a_strict_answer_is_the_choice_and_nothing_else(text: str, expected: int | None) -> None:
    assert read_strict(text, CHOICES, letters=False) == expected
    assert read_strict(text, CHOICES, letters=True) == expected


def test_a_letter_is_an_answer_if_letters_were_shown() -> None:
    for text, strict, lenient in (("B", 1, 1), ("b.", 1, 1), ("B) Paris", None, 1), ("The answer is B", None, 1)):
        assert read_strict(text, CHOICES, letters=True) == strict
        assert read_choice(text, CHOICES, letters=True) == lenient
        assert read_strict(text, CHOICES, letters=False) is None
    assert read_choice("B", CHOICES, letters=False) is None
    assert read_choice("F", CHOICES, letters=True) is None


@pytest.mark.parametrize(
    "text", ['["Paris"]', '[{"content": "Paris"}]', '{"answer": "B"}', '[["Paris"]]', '\n [{"L1": "B"}]']
)
def test_json_names_no_choice(text: str) -> None:
    assert read_choice(text, CHOICES, letters=True) is None


def test_an_answer_without_a_letter_is_read_by_its_text() -> None:
    assert read_choice("A town named Köln.", CHOICES, letters=True) == 3
    assert read_choice("Vitamin C helps.", ["Vitamin C", "Iron", "Salt", "Water"], letters=True) == 0


def test_texts_that_look_the_same_are_the_same_choice() -> None:
    choices = ["Caf\u00e9 cr\u00e8me", "tea", "milk", "water"]
    assert read_text("Cafe\u0301 cre\u0300me", choices) == 0
    assert read_text("It is cafe\u0301\u00a0cr\u00e8me.\nNot tea.", choices) == 0
