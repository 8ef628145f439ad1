"""A generated answer is read as a letter or as the text of a choice, strictly or leniently."""

import time

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


PLANETS = ["Mercury", "Venus", "Earth", "Mars"]
NO_LETTER = [
    # two choices
    "A. Mercury\nB. Venus\nC. Earth\nD. Mars",
    "Answer:\nA. Mercury\nB. Venus\nC. Earth\nD. Mars",
    "A\nB",
    "A. B. C. D.",
    "A B C D",
    "A; B",
    "A|B",
    "A & B",
    "A (or B)",
    "A, maybe B",
    "A, or maybe it's B",
    "A. Mercury or B. Venus",
    "Mercury (A) or Venus (B)",
    "The answer is B or possibly C",
    "B and C are correct.",
    "Either B or C is correct.",
    "B or E",
    # rejected
    "incorrect answer is A",
    "The wrong answers are A and B.",
    "A: wrong",
    "A - incorrect",
    "A (wrong)",
    "A cannot be correct",
    "B isn't right.",
    "The answer isn\u2019t B.",
    "I don't think the answer is B.",
    "Neither A nor B.",
    "A and B are wrong.",
    "Anything but A.",
    "The answer is A. Wait, A is wrong.",
    "If the answer is A, the planet is hot.",
    "The other option is A.",
    # words, formulas and names
    "B\u2011cells are white",
    "B\u2010cells are white",
    "B\u2013cells are white",
    "B cells are white",
    "C/C++ is a language",
    "C=O",
    "C\u2013H bond",
    "B(OH)3",
    "A^2",
    "A + B",
    "A = 5",
    "The function f(A) grows",
    "I think A lot of people know",
    "So A dog barks",
    "The answer is A can of soup",
    "I have a B in maths.",
    "Vitamin C",
    "So do I",
    "I think so",
    # reasoning without an end
    "<think>The answer is A",
    "<think>A</think><think>B",
]


@pytest.mark.parametrize("text", NO_LETTER)
def test_an_answer_without_one_clear_letter_names_no_choice(text: str) -> None:
    assert read_letter(text) is None
    assert read_choice(text, PLANETS, letters=True) is None


CLEAR_LETTERS = {
    # the last statement
    "The answer is A. Wait, no, the answer is C": "C",
    "First I thought the answer is A, but the answer is C.": "C",
    "Is it B? No, the answer is C.": "C",
    "A or B? The answer is B.": "B",
    "B? No, C.": "C",
    "The answer is A. No, it is C.": "C",
    "No, it is C.": "C",
    "The answer is A. A is wrong. I think C.": "C",
    "Options:\nA. Mercury\nB. Venus\nC. Earth\nD. Mars\n\nAnswer: B": "B",
    "B\n\nA. Mercury is small.\nB. Venus is hot.\nC. Earth is mild.\nD. Mars is cold.": "B",
    # what is rejected does not count
    "Wrong answer: A. Correct answer: C": "C",
    "The incorrect answer is A; the correct answer is C": "C",
    "Option A: incorrect. Option B: correct.": "B",
    "A: incorrect\nB: correct\nC: incorrect\nD: incorrect": "B",
    "A (wrong), B (right)": "B",
    "A is wrong, B is right": "B",
    "The answer is not A but C": "C",
    "It's not B, it's C.": "C",
    "Neither A nor B; the answer is C.": "C",
    "A and B are wrong. C is right.": "C",
    "Eliminate A and B. The answer is C.": "C",
    "I am not sure, but the answer is C.": "C",
    "B instead of A": "B",
    "The correct answer is not B, but C, because A is wrong.": "C",
    # reasoning
    "<think>Maybe the answer is A. Hmm</think>The answer is C": "C",
    "Maybe A</think>\n\nC": "C",
    # other words and marks around the letter
    "- B": "B",
    "* B": "B",
    "So B": "B",
    "Therefore, B.": "B",
    "I think B": "B",
    "I would go with B.": "B",
    "Probably B.": "B",
    "Sure! B": "B",
    "Yes, B is correct.": "B",
    "Thus, option B is correct.": "B",
    "The answer should be B": "B",
    "The answer is clearly B": "B",
    "The answer to this question is B": "B",
    "The answer is 'B'": "B",
    "The answer is \u2018B\u2019.": "B",
    "The answer is b, because it is hot": "B",
    "B must be the answer": "B",
    "Correct answer - B": "B",
    "### Answer\nB. Venus": "B",
    "$B$": "B",
    r"\(B\)": "B",
    r"\boxed{\mathrm{B}}": "B",
    r"\boxed{(B)}": "B",
    r"$$\boxed{\text{B. Venus}}$$": "B",
    "(\uff22)": "B",
    "\uff08\uff22\uff09": "B",
    "Venus (B)": "B",
    "The hottest planet is Venus (option B).": "B",
    "B. I think so, too.": "B",
}


@pytest.mark.parametrize(("text", "expected"), CLEAR_LETTERS.items())
def test_a_clear_letter_is_read_whatever_is_around_it(text: str, expected: str) -> None:
    assert read_letter(text) == "ABCD".index(expected)
    assert read_choice(text, PLANETS, letters=True) == "ABCD".index(expected)


SPECIES = ["C. elegans", "D. melanogaster", "E. coli", "A. thaliana"]
GENES = ["AA", "Aa", "aa", "A"]
MOLECULES = ["CO", "Co", "co", "C"]
VERDICTS = ["Wrong, Wrong", "Wrong, Not wrong", "Not wrong, Wrong", "Not wrong, Not wrong"]  # as in moral_scenarios
LETTERS_AND_TEXTS = [
    ("D. melanogaster, the fruit fly", SPECIES, 1),
    ("The answer is C. elegans.", SPECIES, 0),
    ("C. E. coli", SPECIES, 2),
    ("C. Not wrong, Wrong", VERDICTS, 2),
    ("C: Not wrong, wrong", VERDICTS, 2),
    ("The answer is Not wrong, Wrong.", VERDICTS, 2),
    ("B: False", ["True", "False", "Both", "Neither"], 1),
    ("Both A and B are right", ["1", "2", "Both A and B", "None"], 2),
    ("B. C", ["B", "C", "D", "A"], 1),
    ("A dog barks", ["cat", "a dog", "cow", "pig"], 1),
    ("Mercury (B)", PLANETS, None),
    ("Mercury, so B", PLANETS, 1),
    ("B, because Mars is too cold.", PLANETS, 1),
    ("The answer is A hot Venus.", PLANETS, 1),
    ("Paris. The answer is B.", ["Paris", "London", "Rome", "Oslo"], 1),
]


@pytest.mark.parametrize(("text", "choices", "expected"), LETTERS_AND_TEXTS)
def test_letters_and_texts_are_read_together(text: str, choices: list[str], expected: int | None) -> None:
    assert read_choice(text, choices, letters=True) == expected


CASES = [
    ("Aa", GENES, 1),
    ("aA", GENES, None),
    ("Co", MOLECULES, 1),
    ("Co.", MOLECULES, 1),
    ("cO", MOLECULES, None),
    ("MB", ["Mb", "MB", "mb", "mB"], 1),
    ("PARIS", ["London", "Paris"], 1),
    ("5.", ["5", "5.", "6", "7"], 1),
    ("5", ["5.", "5", "6", "7"], 1),
    ("x", ["y", "x", "x", "z"], 1),
    ("X.", ["y", "x", " x ", "z"], 1),
    ("<think>\n\n</think>\n\nParis", ["London", "Paris"], 1),
]


@pytest.mark.parametrize(("text", "choices", "expected"), CASES)
def test_the_exact_choice_takes_precedence(text: str, choices: list[str], expected: int | None) -> None:
    assert read_strict(text, choices, letters=False) == expected
    assert read_choice(text, choices, letters=False) == expected


CITIES = ["Paris", "London", "Rome", "Oslo"]
NUMBERS = ["1", "2", "-2", "3"]
LENIENT_TEXTS = [
    ("It isn't Paris", CITIES, None),
    ("It isn\u2019t Paris", CITIES, None),
    ("Paris is wrong", CITIES, None),
    ("Paris: incorrect", CITIES, None),
    ("It cannot be Paris", CITIES, None),
    ("It is never Paris", CITIES, None),
    ("Anything but Paris", CITIES, None),
    ("Paris is not the capital", CITIES, None),
    ("Neither Paris nor Rome", CITIES, None),
    ("It is not Paris or Rome", CITIES, None),
    ("Not in Paris", CITIES, None),
    ("Paris-like", CITIES, None),
    ("Paris\u2013Dakar", CITIES, None),
    ("Paris and Rome", CITIES, None),
    ("The answer is Paris or Rome", CITIES, None),
    ("Rather Oslo than Rome", CITIES, None),
    ("It is Paris, not Rome.", CITIES, 0),
    ("Paris is wrong; Rome is correct.", CITIES, 2),
    ("Paris rather than Rome", CITIES, 0),
    ("Question: London? Answer: Paris", CITIES, 0),
    ("It is Rome? No, Paris.", CITIES, None),
    ("It is a city. The answer is Paris.", CITIES, 0),
    ("Sure! It is Paris.", CITIES, 0),
    ("_Paris_", CITIES, 0),
    ("**Paris**", CITIES, 0),
    ("It is __Paris__.", CITIES, 0),
    (r"$\boxed{\text{Paris}}$", CITIES, 0),
    ("<think>Rome?</think>It is Paris", CITIES, 0),
    ("<think>It is Paris", CITIES, None),
    ("It is Co.", MOLECULES, 1),
    ("It is cO.", MOLECULES, None),
    ("The answer is 5.", ["5", "5.", "6", "7"], 1),
    ("It is x", ["y", "x", "x", "z"], 1),
    ("It is -1", NUMBERS, None),
    ("It is \u22121", NUMBERS, None),
    ("1.5", NUMBERS, None),
    ("0.1", NUMBERS, None),
    ("1/3", NUMBERS, None),
    ("4/1", NUMBERS, None),
    ("1,000", NUMBERS, None),
    ("1 000", NUMBERS, None),
    ("10:1", NUMBERS, None),
    ("1^4", NUMBERS, None),
    ("x = \u22122", NUMBERS, 2),
    ("x = 2", NUMBERS, 1),
    ("It is 3, of course", NUMBERS, 3),
    ("2 km", NUMBERS, 1),
    ("use snake_case", ["snake", "case", "snake_case", "_"], 2),
]


@pytest.mark.parametrize(("text", "choices", "expected"), LENIENT_TEXTS)
def test_a_text_is_read_unless_it_is_rejected_or_part_of_another(
    text: str, choices: list[str], expected: int | None
) -> None:
    assert read_choice(text, choices, letters=False) == expected


@pytest.mark.parametrize("text", ["I", "I think so", "So do I", "The answer is B, I think"])
def test_i_is_no_letter_in_prose_even_if_there_are_nine_choices(text: str) -> None:
    assert read_letter(text, 10) == (1 if "B" in text else None)


REPEATED = [
    "A ",
    "A or ",
    "the answer is ",
    "not ",
    "*",
    "_*",
    "$",
    "'",
    "<think>",
    "\\text{",
    "\\boxed{",
    "a.b",
    "1,",
    "\n",
    "A) x B) y ",
    "A) ",
    "<b>",
    "<answer>",
    "Wait, no. ",
    "Is it ",
]


@pytest.mark.parametrize("text", REPEATED)
def test_reading_time_is_linear(text: str) -> None:
    """Quadratic time would be minutes; the limit allows for a busy machine."""
    start = time.process_time()
    read_choice((text * 100_000)[:100_000] + "!", PLANETS, letters=True)
    assert time.process_time() - start < 5
