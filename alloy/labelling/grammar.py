"""The grammar of an answer, as EBNF for xgrammar: the very JSON that training teaches, with labels of the taxonomy.

Labels are a prefix tree of the taxonomy's paths, so that levels agree; a JSON schema of as many paths takes xgrammar
a minute to compile and a tenth of a second a token, the tree half a second and microseconds.
"""

import json
import re
from itertools import islice

from alloy.core.files import Row
from alloy.core.text import SPACELESS
from alloy.formats.taxonomy import LabelPath, Taxonomy
from alloy.labelling.answer import Codes

WORD = re.compile(rf"([{SPACELESS}]|[^\W{SPACELESS}]+|[^\w\s])(\s*)")
QUOTED = 300  # leaves; with more, a grammar of a comment's own takes longer to compile than its answer to give
# Longer comments are not quoted but answered with any text: to compile a grammar of 400 words takes about 0.06 seconds,
# of 2,000 words 8 seconds (benchmarks/quote_grammar.py).
QUOTED_WORDS, QUOTED_LETTERS = 400, 8_000
LETTERS = r"""([^"\\\x00-\x1f] | "\\" ["\\bfnrt] | "\\u00" [0-1] [0-9a-f])+"""  # as json.dumps writes them


def answer_grammar(taxonomy: Taxonomy, task: Row, codes: Codes | None, comment: str | None = None) -> str:
    """Return the grammar of a whole answer; labels are paths, or their `codes`.

    Contents quote the `comment` if it is short enough and there are at most `QUOTED` leaves; else they are any text. An
    answer has as many segments as the comment with the most of them, or fewer: a weak model would never end. That
    they differ from one another, no grammar can say (no_repeats.py).
    """
    quotes = comment is not None and len(taxonomy.leaves) <= QUOTED and can_quote(comment)
    start = [_literal('{"content": "'), "content", _literal('", "')] if task["has_content"] else [_literal('{"')]
    return "\n".join(
        [
            f'root ::= "[" segment (", " segment){{0,{most_segments(taxonomy, task) - 1}}} "]"',
            f"segment ::= {' '.join([*start, 'labels', *_close(task)])}",
            *(_quotes(comment or "") if quotes else [f"content ::= {LETTERS}"]),
            *_labels(taxonomy, codes),
        ]
    )


def most_segments(taxonomy: Taxonomy, task: Row) -> int:
    """Return how many segments an answer may have: as a comment has at most, and no more than there are different."""
    different = len(taxonomy.leaves) * max(len(task["emotions"]), 1)
    return task["most_segments"] if task["has_content"] else min(task["most_segments"], different)


def tails_of(taxonomy: Taxonomy, task: Row, codes: Codes | None) -> list[str]:
    """Return all that may follow a segment's content: from the first letter of its first label's key to its `}`."""
    if codes:
        labels = [f'{_key("label")[1:]}{code}"' for code in codes.values()]
    else:
        labels = [
            ", ".join(f'{_key(level)}{_inside(label)}"' for level, label in zip(taxonomy.levels, path, strict=True))[1:]
            for path in taxonomy.leaves
        ]
    ends = [f', "emotion": "{_inside(emotion)}"}}' for emotion in task["emotions"]] or ["}"]
    return [label + end for label in labels for end in ends]


def labels_grammar(taxonomy: Taxonomy, task: Row, codes: Codes | None, *, last: bool) -> str:
    """Return the grammar of an answer's part from the key of a segment's first label to what comes after the segment.

    After the `last` segment that an answer may have, this is its end alone. The part starts at a letter behind marks,
    where a tokenizer does not run on; so does `content_grammar`.
    """
    ways = _literal("]") if last else f"({_literal(', {' + chr(34))} | {_literal(']')})"
    return "\n".join([f"root ::= labels {' '.join(_close(task))} {ways}", *_labels(taxonomy, codes)])


def content_grammar(comment: str | None) -> str:
    """Return the grammar of an answer's part from the key `content` to the next: a quote, or any text for None."""
    start, end = _literal(_key("content")[1:]), _literal('", "')
    content = [f"content ::= {LETTERS}"] if comment is None else _quotes(comment)
    return "\n".join([f"root ::= {start} content {end}", *content])


def can_quote(comment: str) -> bool:
    """Return whether a comment is short enough for a grammar of its quotes."""
    if len(comment) > QUOTED_LETTERS:
        return False
    return sum(1 for _ in islice(WORD.finditer(comment), QUOTED_WORDS + 1)) <= QUOTED_WORDS


def _quotes(comment: str) -> list[str]:
    """Return the rules of `content`: words of the comment, one or more, that follow one another as they do there."""
    # Left recursion: `q3` ends with word 3. xgrammar follows it in linear time, right recursion in cubic.
    words = [match.groups() for match in WORD.finditer(comment)]
    ends = " | ".join(f"q{number}" for number in range(len(words))) or _literal("")
    rules = [f"content ::= {ends}"]
    space = ""
    for number, (word, behind) in enumerate(words):
        longer = f" | q{number - 1} {_literal(_inside(space + word))}" if number else ""
        rules.append(f"q{number} ::= {_literal(_inside(word))}{longer}")
        space = behind
    return rules


def _close(task: Row) -> list[str]:
    """Return what ends a segment's object."""
    if not task["emotions"]:
        return [_literal("}")]
    emotions = " | ".join(_literal(_inside(emotion)) for emotion in task["emotions"])
    return [_literal(', "emotion": "'), f"({emotions})", _literal('"}')]


def _labels(taxonomy: Taxonomy, codes: Codes | None) -> list[str]:
    """Return the rules of `labels`, behind the quotes that open its first key."""
    if codes:
        ways = " | ".join(_literal(code) for code in codes.values())
        return [f"labels ::= {_literal(_key('label')[1:])} ({ways}) {_literal(chr(34))}"]
    children: dict[LabelPath, dict[str, None]] = {}
    for path in taxonomy.leaves:
        for depth, label in enumerate(path):
            children.setdefault(path[:depth], {})[label] = None
    names = {path: f"n{number}" for number, path in enumerate(children)}
    rules = [f"labels ::= {_literal(_key(taxonomy.levels[0])[1:])} n0"]
    for path, labels in children.items():
        depth = len(path) + 1
        if depth == len(taxonomy.levels):
            ends = [_literal(_inside(label) + '"') for label in labels]
        else:
            rest = '", ' + _key(taxonomy.levels[depth])
            ends = [f"{_literal(_inside(label) + rest)} {names[*path, label]}" for label in labels]
        rules.append(f"{names[path]} ::= {' | '.join(ends)}")
    return rules


def _key(name: str) -> str:
    """Return a key of an object, up to the quotes that open its string."""
    return f'"{name}": "'


def _literal(text: str) -> str:
    """Return `text` as EBNF writes it."""
    return json.dumps(text, ensure_ascii=False)


def _inside(text: str) -> str:
    """Return `text` as it stands between the quotes of a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]
