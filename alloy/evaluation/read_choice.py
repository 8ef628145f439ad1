"""Find the choice of a multiple-choice question that a generated answer names, by its letter or by its text.

There are two readings of the same answer:

- Strict: the answer is the letter or the text of a choice and nothing else. Case and a final period do not matter.
- Lenient: the answer names one choice, as in "The answer is C", "C) flesh eaters" or "It is called photosynthesis."
"""

import re
import string

from alloy.core.text import lower_text

LETTERS = string.ascii_uppercase
MARKUP = re.compile(r"[*_`\"“”]")
BOXED = re.compile(
    r"\\boxed\s*\{\s*(?:\\text\s*\{\s*)?(\w)[}\s]*\}"
)  # LaTeX, which models trained on mathematics often write
JSON_START = re.compile(r"\s*(?:\{|\[\s*[\[{\"\]])")

# A letter that is not part of a word or a name, such as `B-cells`, `C++`, `D's` or `A.I.`, and is not called wrong.
LETTER = (
    r"[(\[]*(?<![\w'\u2019])([A-Z]|[a-z](?=\s*$|[).:\]]))(?![\w'\u2019+#]|-\w|\.[A-Za-z])"
    r"(?!\W*\s(?i:is|are)\s(?i:wrong|incorrect|false|not)\b)"
)
# What can follow a letter at the start of an answer: the end, punctuation, or words such as "because" or "is correct".
LETTER_END = (
    r"[)\]]*(?:\s*$|\s*\n|\s*[^\w\s'\u2019+#-]|\s+[-\u2013\u2014]\s|\s+(?i:because|since|as)\b"
    r"|\s+(?i:is\s+(?:the\s+|my\s+)?(?:right|correct|true|best|answer|choice|option)\b))"
)
NOUN = r"(?i:answer|option|choice|letter)"
PATTERNS = [
    re.compile(pattern)
    for pattern in (
        rf"\b{NOUN}\s*(?:(?i:is|would be|must be)\b\s*:?|:)\s*(?i:the\s+)?(?:{NOUN}\s+)?{LETTER}",  # the answer is B
        rf"^\s*(?:{NOUN}\s+)?{LETTER}(?={LETTER_END})",  # B. Venus; Option B
        rf"\b(?i:choose|pick|select|it is|it['\u2019]s)\s+(?:{NOUN}\s+)?{LETTER}(?={LETTER_END})",  # I choose B
    )
]
ARTICLE = re.compile(r"[ \t]+[a-z]")  # after the A of "the answer is A dog"
SECOND_LETTER = re.compile(
    r"[)\].]*\s*(?:\b(?i:and|or)\b|[/&,])\s*(?:(?i:and|or)\s+)?[(\[]*[A-Z](?![\w'\u2019+#-]|\s+(?!and\b|or\b)[a-z])"
)

SENTENCE_END = re.compile(r"[.!?](?=\s|$)|(?<!:)\n")
NEGATION = re.compile(r"\bnot\s+(?:an?\s+|the\s+)?$")


def read_strict(text: str, choices: list[str], *, letters: bool) -> int | None:
    """Return the index of the choice that is the whole of `text`, or None.

    `letters`: the choices were shown with letters, so a single letter is also an answer.
    """
    answer = _simplify_text(text)
    if letters and len(answer) == 1 and answer.upper() in LETTERS[: len(choices)]:
        return LETTERS.index(answer.upper())
    simple_choices = [_simplify_text(choice) for choice in choices]
    return simple_choices.index(answer) if answer and answer in simple_choices else None


def read_choice(text: str, choices: list[str], *, letters: bool) -> int | None:
    """Return the index of the choice that `text` names, or None.

    Algorithm; the first step with a result decides:

    1. Use `read_strict`.
    2. If the answer is JSON, it names no choice: a list of labels can contain the words of a choice by accident.
    3. With `letters`, find the letter that is named (`read_letter`).
    4. Find the only choice whose text is in the first sentence (`read_text`).

    Example: with the choices Mars and Venus, both "B. I think so" and "It must be Venus!" name the second.
    """
    strict = read_strict(text, choices, letters=letters)
    if strict is not None:
        return strict
    if JSON_START.match(text):
        return None
    letter = read_letter(text, len(choices)) if letters else None
    return read_text(text, choices) if letter is None else letter


def read_letter(text: str, count: int = 4) -> int | None:
    r"""Return the index of the letter that `text` names, if it is one of the first `count`; otherwise None.

    Algorithm:

    1. Remove Markdown and quotes; `\boxed{B}` becomes "answer: B".
    2. Look for a statement ("the answer is B"), then for a letter at the start ("B. Venus", "(b)", "Option B"), then
       for "I choose B". The first match decides.
    3. If a second letter follows ("B or C", "A/B"), no letter is named. An A that is an article ("the answer is A dog")
       is not a match.
    """
    plain = MARKUP.sub("", BOXED.sub(r"answer: \1.", text))
    for pattern in PATTERNS:
        for match in pattern.finditer(plain):
            letter, rest = match.group(1), match.end()
            if SECOND_LETTER.match(plain, rest):
                return None
            if letter == "A" and ARTICLE.match(plain, rest) and not re.match(LETTER_END, plain[rest:]):
                continue
            return LETTERS.index(letter.upper()) if letter.upper() in LETTERS[:count] else None
    return None


def read_text(text: str, choices: list[str]) -> int | None:
    """Return the index of the only choice whose text is in the first sentence of `text` as whole words, or None.

    A choice does not count within a longer one ("York" in "New York") or after "not". It must begin in the first
    sentence. It can contain a period ("St. Louis").
    """
    answer = "\n".join(map(lower_text, text.strip().splitlines()))
    end = SENTENCE_END.search(answer)
    limit = end.start() if end else len(answer)
    matches = [
        (*match.span(), index)
        for index, choice in enumerate(choices)
        if (words := _simplify_text(choice).split())
        for match in re.finditer(r"(?<!\w)" + r"\s+".join(map(re.escape, words)) + r"(?!\w)", answer)
        if match.start() < limit and not NEGATION.search(answer[: match.start()])
    ]
    named = {
        index
        for start, end, index in matches
        if not any(a <= start and end <= b and (a, b) != (start, end) for a, b, _ in matches)
    }
    return named.pop() if len(named) == 1 else None


def _simplify_text(text: str) -> str:
    return lower_text(text).removesuffix(".")
