"""The grammar of an answer, as EBNF for xgrammar: exactly the JSON of the training data, with labels of the taxonomy.

Labels are a prefix tree of the taxonomy's paths, so the levels of a segment always belong together. The tree compiles
in half a second and takes microseconds per token. A JSON schema of the same paths took xgrammar a minute to compile
and a tenth of a second per token.
"""

import json
import re
from itertools import islice

from alloy.core.files import Row
from alloy.core.text import SPACELESS
from alloy.formats.taxonomy import LabelPath, Taxonomy
from alloy.labeling.answer import Codes

# A run of the same sign is one word: `=====` as five words would match in 15 ways, and compile 50 times as long.
WORD = re.compile(rf"(?P<word>[{SPACELESS}]|[^\W{SPACELESS}]+|(?P<sign>[^\w\s])(?P=sign)*)(?P<space>\s*)")
MAX_QUOTED_LEAVES = 300  # with more, compiling a grammar per comment takes longer than generating its answer
# Contents of longer comments may be any text. Compiling a quote grammar takes about 0.06 seconds for 400 words and 8
# seconds for 2,000 words (benchmarks/quote_grammar.py).
MAX_QUOTED_WORDS, MAX_QUOTED_CHARACTERS = 400, 8_000
JSON_TEXT = (
    r"""([^"\\\x00-\x1f] | "\\" ["\\bfnrt] | "\\u00" [0-1] [0-9a-f])+"""  # a JSON string as json.dumps writes it
)


def build_answer_grammar(taxonomy: Taxonomy, task: Row, codes: Codes | None, comment: str | None = None) -> str:
    """Return the grammar of a whole answer; labels are paths, or their `codes`.

    - Contents quote the `comment` if it is short enough and there are at most `MAX_QUOTED_LEAVES` leaves. Otherwise
      they are any text.
    - An answer has at most as many segments as the training comment with the most segments. Without a limit, the
      answer of a weak model might never end.
    - No grammar can require that segments differ; see no_repeats.py.
    """
    quotes = comment is not None and can_quote_in_answer(comment, taxonomy)
    start = (
        [_quote_literal('{"content": "'), "content", _quote_literal('", "')]
        if task["has_content"]
        else [_quote_literal('{"')]
    )
    return "\n".join(
        [
            f'root ::= "[" segment (", " segment){{0,{compute_max_segments(taxonomy, task) - 1}}} "]"',
            f"segment ::= {' '.join([*start, 'labels', *_close_segment(task)])}",
            *(_build_quote_rules(comment or "") if quotes else [f"content ::= {JSON_TEXT}"]),
            *_build_label_rules(taxonomy, codes),
        ]
    )


def compute_max_segments(taxonomy: Taxonomy, task: Row) -> int:
    """Return the maximum number of segments in an answer.

    It is the task's `most_segments`. Without contents, it is at most the number of different pairs of leaf and emotion.
    """
    different = len(taxonomy.leaves) * max(len(task["emotions"]), 1)
    return task["most_segments"] if task["has_content"] else min(task["most_segments"], different)


def list_tails(taxonomy: Taxonomy, task: Row, codes: Codes | None) -> list[str]:
    """Return every possible end of a segment, from the first letter of its first label's key to its `}`."""
    if codes:
        labels = [f'{_open_key("label")[1:]}{code}"' for code in codes.values()]
    else:
        labels = [
            ", ".join(
                f'{_open_key(level)}{_escape_json(label)}"' for level, label in zip(taxonomy.levels, path, strict=True)
            )[1:]
            for path in taxonomy.leaves
        ]
    ends = [f', "emotion": "{_escape_json(emotion)}"}}' for emotion in task["emotions"]] or ["}"]
    return [label + end for label in labels for end in ends]


def build_labels_grammar(taxonomy: Taxonomy, task: Row, codes: Codes | None, *, last: bool) -> str:
    """Return the grammar of one part of an answer: from the first label's key to the start of the next segment.

    After the `last` segment that an answer may have, only the end of the answer follows. The part starts at the first
    letter of a key, where a tokenizer starts a new token. So does `build_content_grammar`.
    """
    next_part = _quote_literal("]") if last else f"({_quote_literal(', {' + chr(34))} | {_quote_literal(']')})"
    return "\n".join(
        [f"root ::= labels {' '.join(_close_segment(task))} {next_part}", *_build_label_rules(taxonomy, codes)]
    )


def build_content_grammar(comment: str | None) -> str:
    """Return the grammar of one part of an answer: from the key `content` to the next key. None allows any content."""
    start, end = _quote_literal(_open_key("content")[1:]), _quote_literal('", "')
    content = [f"content ::= {JSON_TEXT}"] if comment is None else _build_quote_rules(comment)
    return "\n".join([f"root ::= {start} content {end}", *content])


def can_quote(comment: str) -> bool:
    """Return whether a comment is short enough to compile a grammar of its quotes."""
    if len(comment) > MAX_QUOTED_CHARACTERS:
        return False
    return sum(1 for _ in islice(WORD.finditer(comment), MAX_QUOTED_WORDS + 1)) <= MAX_QUOTED_WORDS


def can_quote_in_answer(comment: str, taxonomy: Taxonomy) -> bool:
    """Return whether the grammar of a whole answer restricts contents to quotes of the comment."""
    return len(taxonomy.leaves) <= MAX_QUOTED_LEAVES and can_quote(comment)


def _build_quote_rules(comment: str) -> list[str]:
    """Return the rules of `content`: one or more consecutive words of the comment."""
    # Rule `q3` matches quotes that end with word 3. It is left-recursive: xgrammar follows left recursion in linear
    # time, right recursion in cubic time.
    words = [match.group("word", "space") for match in WORD.finditer(comment)]
    ends = " | ".join(f"q{number}" for number in range(len(words))) or _quote_literal("")
    rules = [f"content ::= {ends}"]
    space = ""
    for number, (word, space_after) in enumerate(words):
        longer = f" | q{number - 1} {_quote_literal(_escape_json(space + word))}" if number else ""
        rules.append(f"q{number} ::= {_quote_literal(_escape_json(word))}{longer}")
        space = space_after
    return rules


def _close_segment(task: Row) -> list[str]:
    """Return the rule parts that end a segment's object."""
    if not task["emotions"]:
        return [_quote_literal("}")]
    emotions = " | ".join(_quote_literal(_escape_json(emotion)) for emotion in task["emotions"])
    return [_quote_literal(', "emotion": "'), f"({emotions})", _quote_literal('"}')]


def _build_label_rules(taxonomy: Taxonomy, codes: Codes | None) -> list[str]:
    """Return the rules of `labels`. They start after the quote that opens the first key."""
    if codes:
        any_code = " | ".join(_quote_literal(code) for code in codes.values())
        return [f"labels ::= {_quote_literal(_open_key('label')[1:])} ({any_code}) {_quote_literal(chr(34))}"]
    children: dict[LabelPath, dict[str, None]] = {}
    for path in taxonomy.leaves:
        for depth, label in enumerate(path):
            children.setdefault(path[:depth], {})[label] = None
    names = {path: f"n{number}" for number, path in enumerate(children)}
    rules = [f"labels ::= {_quote_literal(_open_key(taxonomy.levels[0])[1:])} n0"]
    for path, labels in children.items():
        depth = len(path) + 1
        if depth == len(taxonomy.levels):
            ends = [_quote_literal(_escape_json(label) + '"') for label in labels]
        else:
            rest = '", ' + _open_key(taxonomy.levels[depth])
            ends = [f"{_quote_literal(_escape_json(label) + rest)} {names[*path, label]}" for label in labels]
        rules.append(f"{names[path]} ::= {' | '.join(ends)}")
    return rules


def _open_key(name: str) -> str:
    """Return the key of an object member, up to the quote that opens its value."""
    return f'"{name}": "'


def _quote_literal(text: str) -> str:
    """Return `text` as an EBNF literal."""
    return json.dumps(text, ensure_ascii=False)


def _escape_json(text: str) -> str:
    """Return `text` escaped for a JSON string, without the quotes."""
    return json.dumps(text, ensure_ascii=False)[1:-1]
