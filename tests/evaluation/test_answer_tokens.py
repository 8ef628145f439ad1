"""Answers in running text: repeated options, corrections, markup and questions, each with answers that look similar."""

import pytest

from alloy.evaluation.read_choice import read_choice, read_letter

PLANETS = ["Mercury", "Venus", "Earth", "Mars"]

REPEATED_OPTIONS = [
    "A) Mercury B) Venus C) Earth D) Mars",
    "A. Mercury B. Venus C. Earth D. Mars",
    "A) foo B) bar C) baz D) qux",
    "(A) Mercury (B) Venus (C) Earth (D) Mars",
    "A: Mercury, B: Venus, C: Earth, D: Mars",
    "A) Mercury, B) Venus, C) Earth, D) Mars",
    "A. foo; B. bar; C. baz; D. qux",
    "Options: A) Mercury B) Venus C) Earth D) Mars",
    "The options are A) Mercury B) Venus C) Earth D) Mars",
    "The options are: A. Mercury B. Venus C. Earth D. Mars",
    "A - Mercury B - Venus C - Earth D - Mars",
    "A) Mercury B) Venus",
    "[A] Mercury [B] Venus [C] Earth [D] Mars",
    "**A)** Mercury **B)** Venus **C)** Earth **D)** Mars",
    "a) Mercury b) Venus c) Earth d) Mars",
    "a. foo b. bar c. baz d. qux",
    "A) Mercury / B) Venus / C) Earth / D) Mars",
    "A) Mercury | B) Venus | C) Earth | D) Mars",
    "Answer: A) Mercury B) Venus C) Earth D) Mars",
    "The correct answer is: A. foo B. bar C. baz D. qux",
    "Sure! A) foo B) bar C) baz D) qux",
    "A) Mercury. B) Venus. C) Earth. D) Mars.",
    "A) Water is wet B) Fire is hot C) Ice is cold D) Air is light",
    "A) It is not hot B) It is not cold C) It is not wet D) foo",
    "A) Mercury B) Venus C)",
    "A) Mercury or B) Venus",
    "A) foo B) bar C) baz D) qux E) quux",
    "I think A) foo B) bar C) baz D) qux",
    "Mercury, Venus, Earth, Mars",
    "A.Mercury B.Venus C.Earth D.Mars",
    "A)Mercury B)Venus C)Earth D)Mars",
    "A) The planet Mercury B) The planet Venus C) The planet Earth D) The planet Mars",
    "A (Mercury), B (Venus), C (Earth), D (Mars)",
    "A) Mercury B) Venus C) Earth D) Mars?",
    "Is it A) Mercury, B) Venus, C) Earth, or D) Mars?",
]

NOT_ONLY_OPTIONS = {
    "A) Mercury B) Venus C) Earth D) Mars. The answer is B.": "B",
    "A) Mercury B) Venus C) Earth D) Mars Answer: B": "B",
    "A) Mercury B) Venus C) Earth D) Mars\nB": "B",
    "A) foo B) bar C) baz D) qux\n\nAnswer: C) baz": "C",
    "B) Venus": "B",
    "B) Venus is hotter than A) Mercury": "B",
    "B. Venus is hotter than A. Mercury": "B",
    "The answer is A. Mercury is smaller than B. Venus": "A",
    "A. Mercury is smaller than B. Venus": "A",
    "A. Mercury, because B. Venus is too hot": "A",
    "A) is wrong, B) is wrong, C) is right, D) is wrong": "C",
    "A: incorrect, B: correct, C: incorrect, D: incorrect": "B",
    "Option A: incorrect. Option B: correct.": "B",
    "The answer is B) Venus, not A) Mercury": "B",
    "The answer is B) Venus. C) Earth is too cold.": "B",
    "B) Venus, since C) Earth is too cold": "B",
    "A) foo (wrong) B) bar (right)": "-",
    "The answer is not A) Mercury but B) Venus": "B",
    "The answer is A. Obviously B. is wrong": "A",
    "B. It is the hottest. A. Mercury is too small": "B",
    "A. I prefer it": "A",
    "A. A thick atmosphere keeps the heat.": "A",
}

CORRECTED = {
    "The answer is A. Actually, it is B.": "B",
    "The answer is A... wait, no, it's B": "B",
    "I thought the answer was A but it's C": "C",
    "I first thought the answer was Venus, but it is Mars.": "D",
    "The answer is A. Actually, B.": "B",
    "The answer is A. Actually, I think it's B.": "B",
    "The answer is A. Wait, it is B.": "B",
    "The answer is A. Hmm, it should be C.": "C",
    "The answer is A. Sorry, I meant B.": "B",
    "The answer is A. Sorry, B.": "B",
    "The answer is A. Correction: B.": "B",
    "The answer is A. Oops, it's D.": "D",
    "The answer is A. On second thought, I would go with B.": "B",
    "The answer is A. Let me reconsider. It is B.": "B",
    "The answer is A. Wait, let me check that again. It is B.": "B",
    "The answer is A. I change my answer to C.": "C",
    "The answer is A. I mean B.": "B",
    "The answer is A. Actually, it is Venus.": "B",
    "The answer is A, no, B.": "B",
    "The answer is A - no, wait, B.": "B",
    "A. Wait, no. B.": "B",
    "A. Actually, it's B.": "B",
    "A. No, B.": "B",
    "The answer is A. Wait, no, it is B. Actually, it is C.": "C",
    "The answer is A, but actually it is B.": "B",
    "I thought it was A, but now I think it is B.": "B",
    "At first I thought A, but the answer is D.": "D",
    "I initially thought the answer is A. It is C.": "C",
    "I thought the answer was A but that is wrong. It's C.": "C",
    "My first guess was A, but it is B.": "B",
    "The answer is Mercury. Wait, no, it is Venus.": "B",
    "The answer is Mercury. Actually, it's Venus.": "B",
    "The answer is A.\n\nWait, that is wrong.\n\nIt is B.": "B",
    "The answer is A. Wait, no.": "-",
    "The answer is A. No wait, it's B.": "B",
    "A is correct. Actually, B is correct.": "B",
    "A is correct. Wait, it's B.": "B",
    "Answer: A\n\nCorrection: B": "B",
    "The answer is A. Or rather, B.": "B",
    "The answer is A. However, it is B.": "B",
    "The answer is A. My mistake, it is B.": "B",
}

NOT_CORRECTED = {
    "The answer is actually B.": "B",
    "Actually, the answer is B.": "B",
    "Actually, B.": "B",
    "Actually B": "B",
    "Wait, B": "B",
    "Hmm, B.": "B",
    "Hmm. I think B.": "B",
    "B is actually the answer.": "B",
    "A is actually wrong, it's B": "B",
    "The answer is A. Actually, A is the hottest.": "A",
    "The answer is A. Actually, B is close, too.": "A",
    "The answer is A. Wait, B? No, A.": "A",
    "The answer is A, but B is close.": "A",
    "The answer is A, but not B.": "A",
    "The answer is A, but it is close to B.": "A",
    "The answer is A, but I thought it was B.": "A",
    "The answer is A, but C, D are also hot": "A",
    "The answer is A. It actually beats B.": "A",
    "The answer is Venus, but Mars is red.": "B",
    "The answer is Venus. Actually, Mars is colder.": "B",
    "The answer is Venus, but it is Mars that is red.": "B",
    "The answer is A but B was a good guess.": "A",
    "After careful thought, the answer is B.": "B",
    "Sorry, I do not know.": "-",
    "I am not sure, but I think B.": "B",
    "Sorry, but I think it is B.": "B",
    "The answer is A. Wait, is it B?": "A",
    "I thought the answer was A.": "-",
    "The answer is A because it actually is.": "A",
}

CLEAR = {
    "<answer>B</answer>": "B",
    "<b>B</b>": "B",
    "B</s>": "B",
    r"\fbox{C}": "C",
    "A is the right one": "A",
    "Great question! B.": "B",
    "A or B, but I think B": "B",
    "Options A and C are wrong, leaving B": "B",
    "<answer> B </answer>": "B",
    "<answer>(B)</answer>": "B",
    "<answer>\nB\n</answer>": "B",
    "<Answer>B</Answer>": "B",
    "<final_answer>B</final_answer>": "B",
    "<answer>B. Venus</answer>": "B",
    "<answer>B": "B",
    "B</answer>": "B",
    "A is too small. <answer>B</answer>": "B",
    "<strong>B</strong>": "B",
    "The answer is <b>B</b>.": "B",
    "<i>B</i>.": "B",
    "<B>B</B>": "B",
    "B<|im_end|>": "B",
    "B.<|endoftext|>": "B",
    "B<eos>": "B",
    "B<end_of_turn>": "B",
    "<s>B</s>": "B",
    r"$\fbox{B}$": "B",
    r"\fbox{\text{B}}": "B",
    "B is the correct one.": "B",
    "B is the right choice": "B",
    "B is the best one": "B",
    "B is the right pick.": "B",
    "B would be the correct one, as it is hot.": "B",
    "The right one is B.": "B",
    "Great! B.": "B",
    "Good question! The answer is B.": "B",
    "Great question! I think B.": "B",
    "Great question! B) Venus": "B",
    "That's a great question! B.": "B",
    "Good question. It is Venus.": "B",
    "A or B, but I think it's B": "B",
    "A and B are close, but I think B.": "B",
    "It could be A or B, but I'd go with B.": "B",
    "Either A or B, but I would say B.": "B",
    "Options A, C and D are wrong, leaving B.": "B",
    "A and C are wrong, which leaves B.": "B",
    "A, C and D are impossible, so it leaves us with B": "B",
}

NOT_CLEAR = [
    "<answer>A or B</answer>",
    "<answer>not B</answer>",
    "B is the wrong one",
    "A is not the right one",
    "A is the right planet",
    "A is one of them",
    "A or B, but I think so",
    "a < b > c",
    "Great question! A dog",
]

QUESTIONS = [
    "Is the answer B?",
    "Could it be B?",
    "Is it B?",
    "Is it B or C?",
    "Is B correct?",
    "Could B be right?",
    "Is B the answer?",
    "Would the answer be B?",
    "Should I choose B?",
    "Maybe it is B?",
    "The answer is B?",
    "Is it option B?",
    "Could it be (B)?",
    "Could it be Venus?",
    "Is the answer Venus?",
    "Is it Venus (B)?",
    "B?",
    "Do you think it is B?",
    "Is the correct answer B) Venus?",
    "Is it A? Is it B?",
    "So is it B?",
    "Is the answer B or is it C?",
    "Is it B, which is hot?",
    "Is that B? I doubt it.",
    "How about option B?",
    "Why is it B?",
]

NOT_QUESTIONS = {
    "Is it B? Yes.": "B",
    "Is it B? Yes, B.": "B",
    "B? Yes, B.": "B",
    "Is it B? Yes, it is B.": "B",
    "Is it B? No, C.": "C",
    "Is it A? No. It is B.": "B",
    "Could it be A? No, the answer is B.": "B",
    "Which planet is hot? B": "B",
    "Which planet is hot?\nB": "B",
    "Is the answer A? I think it is B.": "B",
    "A or B? B.": "B",
    "What is the hottest planet? The answer is B.": "B",
    "B. Is it not clear?": "B",
    "B, right?": "B",
    "The answer is B. Any questions?": "B",
    "Could it be A? The answer is B": "B",
    "Must be B.": "B",
    "Should be B.": "B",
    "Could be B.": "B",
}


def check(text: str, expected: str) -> None:
    index = None if expected == "-" else "ABCD".index(expected)
    assert read_choice(text, PLANETS, letters=True) == index
    if not any(planet in text for planet in PLANETS):  # the letter decides
        assert read_letter(text) == index


@pytest.mark.parametrize("text", REPEATED_OPTIONS)
def test_options_repeated_on_one_line_name_no_choice(text: str) -> None:
    check(text, "-")
    assert read_letter(text) is None


@pytest.mark.parametrize(("text", "expected"), NOT_ONLY_OPTIONS.items())
def test_an_answer_with_several_options_can_name_one(text: str, expected: str) -> None:
    check(text, expected)


@pytest.mark.parametrize(("text", "expected"), CORRECTED.items())
def test_the_last_correction_counts(text: str, expected: str) -> None:
    check(text, expected)


@pytest.mark.parametrize(("text", "expected"), NOT_CORRECTED.items())
def test_words_of_a_correction_do_not_always_correct(text: str, expected: str) -> None:
    check(text, expected)


@pytest.mark.parametrize(("text", "expected"), CLEAR.items())
def test_tags_openings_and_ruled_out_choices_do_not_hide_the_answer(text: str, expected: str) -> None:
    check(text, expected)


@pytest.mark.parametrize("text", NOT_CLEAR)
def test_an_unclear_answer_names_no_choice(text: str) -> None:
    check(text, "-")


@pytest.mark.parametrize("text", QUESTIONS)
def test_a_question_names_no_choice(text: str) -> None:
    check(text, "-")


@pytest.mark.parametrize(("text", "expected"), NOT_QUESTIONS.items())
def test_an_answer_after_a_question_is_read(text: str, expected: str) -> None:
    check(text, expected)


def test_a_choice_that_is_a_tag_is_read() -> None:
    choices = ["<b>", "<i>", "<u>x</u>", "</b>"]
    for index, choice in enumerate(choices):
        assert read_choice(f"The tag is {choice}.", choices, letters=False) == index
