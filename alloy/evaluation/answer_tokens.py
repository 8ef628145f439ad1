"""Turn an answer to a multiple-choice question into classes of tokens, for the rules of `read_choice`.

Each token becomes one character, the code of its class. The rules are regular expressions over these codes, written
with the names of the classes: `compile_rule("[noun right] is")` finds "answer is" and "correct would".
"""

import re
import string
from bisect import bisect

from alloy.core.text import normalize_text

LETTERS = string.ascii_uppercase
UNKNOWN = -1  # more than one choice, or a letter after the last one

# The words and marks of each class, separated by spaces. `rather_than` is the phrase "rather than".
CLASSES = {
    "noun": "answer option choice letter solution response ans",
    "is": "is was be been would must should could can may might will has seems does do did equals",
    "are": "are were",
    "right": "correct right correct_one right_one",
    "best": "best true best_one",
    "wrong": "wrong incorrect false untrue impossible excluded eliminated ruled exclude eliminate rule",
    "not": "not never cannot hardly neither nor",  # and words in -n't
    # Hypothetical: what follows is neither chosen nor rejected.
    "if": "if unless whether except another other unlike rather_than instead_of other_than "
    "anything_but everything_but all_but i_thought first_thought initially_thought i_assumed",
    "but": "but however",
    "yes": "yes sure ok okay well course great great_question good_question nice_question",  # can open an answer
    "no": "no",
    # What follows replaces an earlier answer.
    "correction": "actually wait hmm sorry oops correction scratch reconsider reconsidering change_my changed_my "
    "apologies my_mistake or_rather i_mean i_meant second_thought second_thoughts",
    # Can come before a choice.
    "it": "i i'd i'll it this that it's that's think believe say guess choose pick select go going leaves leaving",
    "so": "so thus hence therefore",
    "because": "because since as for which given due from in on",  # can come after a choice
    # Has no influence; also words in -ly.
    "filler": "a an the my our its most likely very also only just both either always indeed to of with final now us",
    "or": "or maybe possibly perhaps / | &",
    "comma": ", ; and",
    "period": ". ! \u2026",
    "question": "?",
    "colon": ": - \u2013 \u2014",
    "arrow": "= => -> \u2192 \u21d2",
    "open": "( [",
    "close": ") ]",
    "word": "+ * < > ^ ~ % \u00d7 \u00f7 \u00b7",  # and all words without a class
    "capital": "",  # the letter of a choice, as it is shown
    "small": "",  # the letter of a choice, in lower case
    "text": "",  # the text of a choice
    "line": "",  # the start or the end of a line
}
CODES = dict(zip(CLASSES, string.ascii_letters, strict=False))
LETTER_CODES = {CODES["capital"], CODES["small"]}
CHOICE_CODES = {*LETTER_CODES, CODES["text"]}
NAME = re.compile("[a-z]{2,}")


def compile_rule(rule: str) -> re.Pattern[str]:
    """Return a regular expression over the codes of classes; `rule` has their names. Spaces are ignored."""
    return re.compile(NAME.sub(lambda name: CODES[name[0]], rule).replace(" ", ""))


CODE_OF = {word.replace("_", " "): CODES[name] for name, words in CLASSES.items() for word in words.split()}
CODE_OF["\n"] = CODES["line"]
PHRASES = "|".join(word for word in CODE_OF if " " in word)
# A word includes what is attached to it, so `B-cells`, `C++`, `C=O`, `D's` and `f(A)` contain no letter of a choice.
TOKEN = re.compile(
    rf"^[*\u2022>#]+ |\b(?:{PHRASES})\b|[-=]>"
    r"|[~\u00ac\u00b0@#\\+-]?\w+(?:[-\u2010\u2011\u2013'.=^/|&(*\u00b7\u00d7]+\w+)*[+#^']*|\n|\S",
    re.M | re.I,
)
# What can follow a letter that names a choice.
FOLLOWING = "close period line question colon comma or but because so not if capital small open"
LETTER_END = compile_rule(f"[{FOLLOWING}]")
ARTICLE = compile_rule(f"[capital small] (?![{FOLLOWING} is are])")  # A dog, B cells
ITEM = "[capital small] (?:close [period colon]? | [period colon open]) (?![line period comma close or])"
LABELED_TEXT = compile_rule(f"({ITEM} [filler word]{{0,3}}) text")  # B. Venus; B) The planet Venus
LABELED_LETTER = compile_rule(r"(line [capital small] period) [capital small] (?=line)")  # A. D
# Options on one line: "A) Mercury B) Venus". Two may also be a sentence: "A. Mercury is smaller than B. Venus".
LIST = compile_rule(
    f"(?:{ITEM} [^line capital small]{{1,20}}){{3,}}"
    f"| (?:{ITEM} [^line capital small is because so but if not]{{1,20}}){{2,}}"
)

# Full-width characters, curly apostrophes and the minus sign, as they are in ASCII.
PLAIN_FORMS = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | str.maketrans("\u2018\u2019\u2212", "''-")
MARKUP = [
    (re.compile(pattern, re.I), replacement)
    for pattern, replacement in (
        (r"<(?:final_)?answer>", " answer: "),
        (r"<(\w+)>([^<>\n]{1,80})</\1>", r"\2"),  # <b>B</b>
        (r"</(?:final_)?answer>|</s>|<eos>|<end_of_turn>|<\|\w+\|>", " "),  # also the tokens that end a text
        (r"[`\"\u201c\u201d]", ""),
        (r"(?<!\w)'([^'\n]{1,80})'(?!\w)", r"\1"),  # 'B', but not the apostrophe of a word
        (r"(?<![\w*])[*_]+(?=[^\s*_])|(?<=[^\s*_])[*_]+(?!\w)", ""),  # **B**, _B_, but not a * b or snake_case
        (r"\\(?:text|textbf|textit|mathrm|mathbf|mathit)\s*\{([^{}]*)\}", r"\1"),
        (r"\\(?:boxed|fbox)\s*\{([^{}]*)\}", r" answer: \1. "),  # used by models trained on mathematics
        (r"\$([^$\s]+)\$", r"\1"),
        (r"\\[()\[\]]", " "),
    )
]


def classify_answer(text: str, choices: list[str], letter_count: int) -> tuple[str, dict[int, int]]:
    """Return the codes of the tokens of an answer, and the choice at the position of each letter or text of a choice.

    Algorithm:

    1. Remove markup and find the texts of choices. Each is one token: in "D. melanogaster", D is not a letter.
    2. Classify the tokens between them.
    3. A letter before other words is an article or belongs to them ("A dog", "B cells"), so it names no choice.
    4. What a letter labels is not a choice of its own: "B. Venus", "A. D".
    5. In a list of options on one line, each option is put on a line of its own.
    """
    answer = _clean(text)
    codes, choice_at, done = CODES["line"], dict[int, int](), 0
    for start, end, choice in [*_find_texts(answer, choices, letter_count), (len(answer), len(answer), None)]:
        for token in TOKEN.finditer(answer, done, start):
            code = _classify_token(token[0], letter_count)
            if code in LETTER_CODES:
                index = LETTERS.index(token[0].upper())
                choice_at[len(codes)] = index if index < letter_count else UNKNOWN
            codes += code
        if choice is not None:
            choice_at[len(codes)] = choice
            codes += CODES["text"]
        done = end
    codes = ARTICLE.sub(CODES["filler"], codes + CODES["line"])
    for rule in (LABELED_TEXT, LABELED_LETTER):
        codes = rule.sub(rf"\1{CODES['word']}", codes)
    choice_at = {position: choice for position, choice in choice_at.items() if codes[position] in CHOICE_CODES}
    return _split_lists(codes, choice_at)


def _split_lists(codes: str, choice_at: dict[int, int]) -> tuple[str, dict[int, int]]:
    """Insert the code of a line before each letter of a list of options that starts with A and B."""
    items: list[int] = []
    for match in LIST.finditer(codes):
        letters = [position for position in range(*match.span()) if codes[position] in LETTER_CODES]
        if [choice_at[position] for position in letters[:2]] == [0, 1]:
            items += letters
    parts = [codes[start:end] for start, end in zip([0, *items], [*items, len(codes)], strict=True)]
    return CODES["line"].join(parts), {start + bisect(items, start): choice for start, choice in choice_at.items()}


def _classify_token(token: str, letter_count: int) -> str:
    """Return the code of a token, or an empty string if it has no influence, such as a bullet."""
    word = token.lower()
    if letter_count and len(token) == 1 and token in string.ascii_letters and word != "i":  # I is a pronoun
        if token in LETTERS:
            return CODES["capital"]
        if LETTERS.index(token.upper()) < letter_count:
            return CODES["small"]
    if word in CODE_OF:
        return CODE_OF[word]
    if word.endswith("n't"):
        return CODES["not"]
    if word.endswith("ly"):
        return CODES["filler"]
    return CODES["word"] if any(map(str.isalnum, word)) else ""


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
