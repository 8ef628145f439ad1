"""Turn an answer to a multiple-choice question into classes of tokens, for the rules of `read_choice`.

Each token becomes one character, its class. With letters A to D, "The answer is not A but C." becomes "LFNVXABA.L".
"""

import re
import string

from alloy.core.text import normalize_text

LETTERS = string.ascii_uppercase
UNKNOWN = -1  # more than one choice, or a letter after the last one

# Classes of tokens. The others are: A and a, a letter of a choice; T, the text of a choice; L, the start or the end of
# a line; w, any other word or operator. An underscore stands for a space.
CLASSES = {
    "N": "answer option choice letter solution response ans",
    "V": "is was be been would must should could can may might will has seems does do did equals",
    "P": "are were",
    "R": "correct right",
    "r": "best true",
    "W": "wrong incorrect false untrue impossible excluded eliminated ruled exclude eliminate rule",
    "X": "not never cannot hardly neither nor",  # and words in -n't
    # Hypothetical: what follows is neither chosen nor rejected.
    "H": "if unless whether except another other unlike rather_than instead_of other_than "
    "anything_but everything_but all_but",
    "B": "but",
    "I": "yes sure ok okay well course wait hmm",  # can open an answer
    "n": "no",
    "i": "it this that it's that's think believe say guess choose pick select go going",  # can come before a choice
    "s": "so thus hence therefore",
    "c": "because since as for which given due from in on",  # can come after a choice
    "F": "a an the my our its most likely very also only just both either always indeed to of with final",  # and in -ly
    "o": "or maybe possibly perhaps / | &",
    ",": ", ; and",
    ".": ". ! \u2026",
    "?": "?",
    ":": ": - \u2013 \u2014",
    "=": "= => -> \u2192 \u21d2",
    "<": "( [",
    ">": ") ]",
    "w": "+ * < > ^ ~ % \u00d7 \u00f7 \u00b7",
}
CLASS_OF = {word.replace("_", " "): name for name, words in CLASSES.items() for word in words.split()} | {"\n": "L"}
PHRASES = "|".join(word for word in CLASS_OF if " " in word)
# A word includes what is attached to it, so `B-cells`, `C++`, `C=O`, `D's` and `f(A)` contain no letter of a choice.
TOKEN = re.compile(
    rf"^[*\u2022>#]+ |\b(?:{PHRASES})\b|[-=]>"
    r"|[~\u00ac\u00b0@#\\+-]?\w+(?:[-\u2010\u2011\u2013'.=^/|&(*\u00b7\u00d7]+\w+)*[+#^']*|\n|\S",
    re.M | re.I,
)
LETTER_END = re.compile(r"[>.L?:,oBcsXHAa<]")  # what can follow a letter that names a choice

# Full-width characters, curly apostrophes and the minus sign, as they are in ASCII.
PLAIN_FORMS = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | str.maketrans("\u2018\u2019\u2212", "''-")
MARKUP = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"[`\"\u201c\u201d]", ""),
        (r"(?<!\w)'([^'\n]{1,80})'(?!\w)", r"\1"),  # 'B', but not the apostrophe of a word
        (r"(?<![\w*])[*_]+(?=[^\s*_])|(?<=[^\s*_])[*_]+(?!\w)", ""),  # **B**, _B_, but not a * b or snake_case
        (r"\\(?:text|textbf|textit|mathrm|mathbf|mathit)\s*\{([^{}]*)\}", r"\1"),
        (r"\\boxed\s*\{([^{}]*)\}", r" answer: \1. "),  # models trained on mathematics write it around the result
        (r"\$([^$\s]+)\$", r"\1"),
        (r"\\[()\[\]]", " "),
    )
]


def classify_answer(text: str, choices: list[str], letter_count: int) -> tuple[str, dict[int, int]]:
    """Return the classes of the tokens of an answer, and the choice at each position with class A, a or T.

    Algorithm:

    1. Remove markup and find the texts of choices. Each is one token: in "D. melanogaster", D is not a letter.
    2. Classify the tokens between them.
    3. A letter before other words is an article or belongs to them ("A dog", "B cells"), so it names no choice.
    4. What a letter labels is not a choice of its own: "B. Venus", "A. D".
    """
    answer = _clean(text)
    names, choice_at, done = ["L"], dict[int, int](), 0
    for start, end, choice in [*_find_texts(answer, choices, letter_count), (len(answer), len(answer), None)]:
        for token in TOKEN.finditer(answer, done, start):
            name = _classify_token(token[0], letter_count)
            if name in ("A", "a"):
                index = LETTERS.index(token[0].upper())
                choice_at[len(names)] = index if index < letter_count else UNKNOWN
            names += name
        if choice is not None:
            choice_at[len(names)] = choice
            names += "T"
        done = end
    classes = "".join(names) + "L"
    classes = re.sub(rf"[Aa](?!{LETTER_END.pattern}|[VP])", "F", classes)
    classes = re.sub(r"([Aa](?:>[.:]?|[.:<]))T", r"\1w", classes)
    classes = re.sub(r"(L[Aa]\.)[Aa](?=L)", r"\1w", classes)
    return classes, {position: choice for position, choice in choice_at.items() if classes[position] in "AaT"}


def _classify_token(token: str, letter_count: int) -> str:
    """Return the class of a token, or an empty string if it has no influence, such as a bullet."""
    word = token.lower()
    if letter_count and len(token) == 1 and token in string.ascii_letters and word != "i":  # I is a pronoun
        if token in LETTERS:
            return "A"
        if LETTERS.index(token.upper()) < letter_count:
            return "a"
    if word in CLASS_OF:
        return CLASS_OF[word]
    if word.endswith("n't"):
        return "X"
    if word.endswith("ly"):
        return "F"
    return "w" if any(map(str.isalnum, word)) else ""


def _find_texts(answer: str, choices: list[str], letter_count: int) -> list[tuple[int, int, int]]:
    """Return (start, end, index) of each choice text in a clean answer as whole words, in order, without overlaps.

    A choice does not count within a longer one ("York" in "New York"). Of choices that differ only in case or in a
    final period, the one that equals the answer's text counts. If letters name the choices, a text of one letter does
    not count.
    """
    found: dict[tuple[int, int], set[tuple[bool, int]]] = {}
    for index, choice in enumerate(choices):
        text = " ".join(_clean(choice).split())
        is_letter = letter_count > 0 and len(text) == 1 and text in string.ascii_letters
        is_repeated = normalize_text(choice) in map(normalize_text, choices[:index])  # the first one counts
        if is_letter or is_repeated or not text.removesuffix("."):
            continue
        for match in re.finditer(_make_pattern(text), answer, re.I):
            is_exact = " ".join(match[0].split()) == text
            found.setdefault(match.span(), set()).add((is_exact, index))
    texts: list[tuple[int, int, int]] = []
    for (start, end), candidates in sorted(found.items(), key=lambda item: (item[0][0], -item[0][1])):
        best = [index for is_exact, index in candidates if is_exact] or [index for _, index in candidates]
        if not texts or start >= texts[-1][1]:
            texts.append((start, end, best[0] if len(best) == 1 else UNKNOWN))
        elif end > texts[-1][1]:  # two texts overlap, so neither is named clearly
            texts[-1] = (texts[-1][0], end, UNKNOWN)
    return texts


def _make_pattern(text: str) -> str:
    """Return the regular expression of a choice text as whole words; its final period is optional.

    A number is not part of another one, such as 1 in -1, 1.5, 1/3 and 1,000.
    """
    words = text.removesuffix(".").split()
    period = r"\.?" if text.endswith(".") else ""
    before = r"(?<!\w)(?<!\w[-\u2010\u2011\u2013'])"
    after = r"(?!\w|[+#]|[-\u2010\u2011\u2013'=^(]\w)"
    if text[0].isdigit():
        before += r"(?<![-+./^])(?<!\d[,: ])"
    if words[-1][-1].isdigit():
        after += r"(?![.,/:^ ]?\d|[/^])"
    return before + r"\s+".join(map(re.escape, words)) + period + after


def _clean(text: str) -> str:
    """Return a text without Markdown, quotes, LaTeX commands and empty lines."""
    lines = map(normalize_text, text.translate(PLAIN_FORMS).splitlines())
    text = "\n".join(filter(None, lines)).replace("$$", "$")
    for pattern, replacement in MARKUP:
        text = pattern.sub(replacement, text)
    return text
