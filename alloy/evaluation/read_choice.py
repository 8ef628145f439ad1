"""Find the choice of a multiple-choice question that a generated answer names, by its letter or by its text.

There are two readings of the same answer:

- Strict: the answer is the letter or the text of a choice and nothing else. Case and a final period do not matter.
- Lenient: the answer names one choice, as in "The answer is C", "C) flesh eaters" or "It is called photosynthesis."

The lenient rules are regular expressions over classes of tokens (`answer_tokens.CLASSES`), so that they need not list
the spellings of each statement. An answer that names two choices and does not settle on one names none.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from alloy.core.text import lower_text, normalize_text
from alloy.evaluation.answer_tokens import CODES, LETTER_END, LETTERS, UNKNOWN, classify_answer, compile_rule

__all__ = ["LETTERS", "read_choice", "read_letter", "read_strict", "read_text"]

JSON_START = re.compile(r"\s*(?:\{|\[\s*[\[{\"\]])")
THINK_START = re.compile(r"<think(?:ing)?>")
THINK_END = re.compile(r"</think(?:ing)?>")

CHOICE = "[capital small text]"
# What comes before a choice. The lengths are limited, so that the time is linear in the length of the answer.
WINDOW = 24
SAME_CLAUSE = "[^period question line but comma so capital small text]{0,10}"
STATEMENT = compile_rule(  # the answer to this is clearly (
    "[noun right] [word filler yes it correction]{0,8} [is are colon arrow] line?"
    "[is are colon arrow filler noun it open correction]{0,8} $"
)
NEGATION = compile_rule(f"[not wrong] {SAME_CLAUSE} $")  # not the; the wrong answer is
HYPOTHESIS = compile_rule(f"if {SAME_CLAUSE} $")  # if the answer is; rather than
LABEL = compile_rule(  # Sure! Option; therefore, it is
    "(?:[line question] [yes no it period comma colon filler or correction]{0,6} | [it but noun]"
    "| [so no correction] [comma period]?) [colon arrow open filler noun it is so correction]{0,6} $"
)
CORRECTION = compile_rule(  # Actually, it is; but I think (before a label)
    "(?:correction [^capital small text]{0,20} | but [comma colon filler noun it is so correction]{1,8}) $"
)
LINE_START = compile_rule("line [colon open]{0,2} $")
# What comes after a choice.
CONFIRMATION = compile_rule(  # is the answer; is right; (correct)
    "close* (?:[is are] [is filler correction]{0,4} (?:noun | [right best] (?!word))"
    "| [colon open] filler{0,2} [right best] (?![noun word is]))"
    "(?!word{0,3} question)"
)
REJECTION = compile_rule(  # is not; cannot; : wrong; ? No,
    "close* (?:[is are] [is filler correction]{0,4} [not wrong]"
    f"| not (?![filler noun]* {CHOICE})"
    "| [colon open] filler* wrong"
    "| [period question comma colon]+ line? (?:[yes correction] [comma period]*)? no [period comma line correction])"
)
QUESTION_MARK = "question (?! line? yes [period comma line])"  # without a Yes after it
QUESTION = compile_rule(f"(?:close+ word{{0,3}})? {QUESTION_MARK}")
INVERSION = compile_rule(  # Is the answer; So could it be
    f"[line period question] [so comma yes correction]{{0,3}} is [filler right]{{0,3}} [it noun] {SAME_CLAUSE} $"
)
INVERSION_END = compile_rule(f"[^period line question]{{0,20}} {QUESTION_MARK}")
LIST_TEXT = compile_rule("close [period colon]? [^period line] | [period colon] [^period line]")  # . Venus; ) Venus
# What joins two choices.
JOINT = compile_rule(  # or; , maybe the; (Mercury) or
    "(?:[period colon open] [word filler text]{1,6} close? or | [open close comma or]) [open close comma or filler]*"
    "| filler*"
)
LIST_JOINT = compile_rule("period | period? line")  # "A. B. C." or one letter per line
LIST_JOINT_END = compile_rule("period? line | period [capital small]")
IS_NEXT = compile_rule("close* is")
# The first sentence, after words such as "Sure!". After a colon, it goes on in the next line.
FIRST_SENTENCE = compile_rule(
    "line [yes no it filler period comma colon correction]* (?:[^period question line] | (?<=colon) line)*"
)

Status = Literal["rejected", "stated", "listed", "label", "weak", "other"]


def read_strict(text: str, choices: list[str], *, letters: bool) -> int | None:
    """Return the index of the choice that is the whole of `text`, or None. Reasoning in <think> tags is ignored.

    `letters`: the choices were shown with letters, so a single letter is also an answer.

    An exact match takes precedence over one that ignores a final period, and that over one that also ignores case.
    The match must be unique: with the choices CO and Co, "co" names none. Of equal choices the first is returned.
    """
    answer = normalize_text(_drop_reasoning(text))
    letter = _drop_period(answer).upper()
    if letters and len(letter) == 1 and letter in LETTERS[: len(choices)]:
        return LETTERS.index(letter)
    for simplify in (normalize_text, _drop_period, _drop_period_and_case):
        equal = [choice for choice in choices if simplify(answer) and simplify(choice) == simplify(answer)]
        if equal:
            return choices.index(equal[0]) if len(set(map(normalize_text, equal))) == 1 else None
    return None


def read_choice(text: str, choices: list[str], *, letters: bool) -> int | None:
    """Return the index of the choice that `text` names, or None.

    Algorithm; the first step with a result decides:

    1. Use `read_strict`.
    2. If the answer is JSON, it names no choice: a list of labels can contain the words of a choice by accident.
    3. Use the lenient rules for letters (with `letters`) and texts (`_read_answer`).

    Example: with the choices Mars and Venus, both "B. I think so" and "It must be Venus!" name the second.
    """
    strict = read_strict(text, choices, letters=letters)
    if strict is not None:
        return strict
    return _read_answer(text, choices, len(choices) if letters else 0)


def read_letter(text: str, count: int = 4) -> int | None:
    """Return the index of the letter that `text` names, if it is one of the first `count`; otherwise None."""
    return _read_answer(text, [], count)


def read_text(text: str, choices: list[str]) -> int | None:
    """Return the index of the choice whose text `text` names, in a statement or in the first sentence, or None."""
    return _read_answer(text, choices, 0)


def _read_answer(text: str, choices: list[str], letter_count: int) -> int | None:
    """Return the index of the choice that an answer names by the lenient rules, or None.

    Algorithm:

    1. Classify the tokens, and group choices that are joined. A group of different choices is UNKNOWN: "A or B".
    2. Judge each group by the classes of the tokens before and after it (`_judge`). Choices in a question do not count.
    3. The last statement or correction decides ("the answer is B", "B is right", "actually, it is B"), unless its
       choice is rejected after it.
    4. Otherwise, letters that label the answer decide ("B. Venus", "I think B"). Labels of a list with several items
       do not count, since the answer repeats the options.
    5. Otherwise, texts in the first sentence and letters in brackets decide ("It is Venus (B)").
    6. In steps 4 and 5, the choices must be the same, apart from rejected ones ("not B", "B is wrong").
    """
    answer = _drop_reasoning(text)
    if JSON_START.match(answer):
        return None
    codes, choice_at = classify_answer(answer, choices, letter_count)
    sentence = FIRST_SENTENCE.match(codes)
    sentence_end = sentence.end() if sentence else 0
    stated: int | None = None
    named: dict[Status, set[int]] = {"rejected": set(), "listed": set(), "label": set(), "weak": set(), "other": set()}
    for group in _group_choices(codes, choice_at):
        members = {choice_at[position] for position in group}
        choice = next(iter(members)) if len(members) == 1 else UNKNOWN
        status = _judge(codes, group[0], group[-1] + 1, sentence_end)
        if status == "stated":
            stated = choice
        elif status == "rejected":
            named["rejected"] |= members
            stated = None if stated in members else stated
        else:
            named[status].add(choice)
    if stated is not None:
        return None if stated == UNKNOWN else stated
    labels = named["label"] | (named["listed"] if len(named["listed"]) == 1 else set())
    remaining = (labels - named["rejected"]) or (named["weak"] - named["rejected"])
    return remaining.pop() if len(remaining) == 1 and UNKNOWN not in remaining else None


def _judge(codes: str, start: int, end: int, sentence_end: int) -> Status:
    """Return the status of the choice, or of the joined choices, at `start` to `end` in the codes of an answer."""
    before, after = codes[max(0, start - WINDOW) : start], codes[end : end + WINDOW]
    is_text = codes[start] == CODES["text"]
    if NEGATION.search(before) or REJECTION.match(after):
        return "rejected"
    if HYPOTHESIS.search(before):
        return "other"
    if CONFIRMATION.match(after):
        return "stated"
    if QUESTION.match(after) or (INVERSION.search(before) and INVERSION_END.match(after)):
        return "other"
    if not (is_text or LETTER_END.match(codes, start + 1)):
        return "other"
    if not is_text and LINE_START.search(before) and LIST_TEXT.match(after):
        return "listed"
    is_label = LABEL.search(before)
    if STATEMENT.search(before) or (is_label and CORRECTION.search(before) and LETTER_END.match(codes, end)):
        return "stated"
    if is_text:
        return "weak" if start < sentence_end else "other"
    if is_label:
        return "label"
    return "weak" if before.endswith(CODES["open"]) and after.startswith(CODES["close"]) else "other"


def _group_choices(codes: str, positions: Iterable[int]) -> Iterator[list[int]]:
    """Yield the positions of choices, in groups of those that are joined: "A or B", "B, C and D", "Venus (B)"."""
    group: list[int] = []
    for position in positions:
        if group and not _are_joined(codes, group[-1], position):
            yield group
            group = []
        group.append(position)
    if group:
        yield group


def _are_joined(codes: str, first: int, second: int) -> bool:
    between, after = codes[first + 1 : second][:WINDOW], codes[second + 1 : second + 1 + WINDOW]
    if LIST_JOINT.fullmatch(between):
        return LIST_JOINT_END.match(after) is not None
    # In "The answer is B and C is wrong", C begins a new statement.
    return JOINT.fullmatch(between) is not None and (CODES["or"] in between or not IS_NEXT.match(after))


def _drop_reasoning(text: str) -> str:
    """Return what follows the reasoning. If it does not end, there is no answer."""
    answer = THINK_END.split(text)[-1]
    return "" if THINK_START.search(answer) else answer


def _drop_period(text: str) -> str:
    return normalize_text(text).removesuffix(".")


def _drop_period_and_case(text: str) -> str:
    return lower_text(_drop_period(text))
