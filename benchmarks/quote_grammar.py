"""Measure how long xgrammar takes to compile a grammar that allows only verbatim quotes of a comment.

    python -m benchmarks.quote_grammar [words ...]

Compiles the grammars of comments of different lengths. `unbounded` always compiles a grammar of all words. `bounded`
does the same as inference: for a comment of more than `MAX_QUOTED_WORDS` words, it compiles a grammar of any text. Also
measures how long a short comment waits for its grammar while the grammar of the longest comment is compiled. The
tokenizer comes from models/base. The result is written to benchmarks/results/quote-grammar-cpu<cores>-<date>.json.
"""

import datetime
import os
import sys
import time
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from alloy.core.files import Row, write_json
from alloy.core.stage import run
from alloy.formats.taxonomy import Taxonomy
from alloy.labeling.constrained_decoding import CompiledLabelConstraint
from alloy.labeling.grammar import MAX_QUOTED_WORDS, build_content_grammar, can_quote
from alloy.modeling.model_folder import load_tokenizer

WORDS = [50, 100, 200, 400, 800, 1400, 2000]
COMMENT_NUMBERS = count()
TASK: Row = {"levels": ["L1"], "has_content": True, "emotions": [], "most_segments": 3}


def make_comment(words: int) -> str:
    """Return a text of `words` words, all different from each other and from earlier texts, to avoid cached results."""
    comment_number = next(COMMENT_NUMBERS)
    return " ".join(f"{comment_number}word{number}" for number in range(words))


def measure_compilation(compiler: Any, grammar: str) -> float:  # noqa: ANN401 (an xgrammar.GrammarCompiler)
    """Return the CPU seconds to compile a grammar."""
    start = time.process_time()
    compiler.compile_grammar(grammar)
    return round(time.process_time() - start, 4)


def measure_wait(constraint: CompiledLabelConstraint, words: int, *, bounded: bool) -> float:
    """Return the seconds that a short comment waits for its grammar if a comment of `words` words comes first."""
    start = time.perf_counter()
    if bounded:
        constraint.prepare_source(make_comment(words))
    else:
        constraint.pool.submit(constraint.compiler.compile_grammar, build_content_grammar(make_comment(words)))
    short_comment: Any = constraint.prepare_source("The lock jams.")
    short_comment.result()
    return round(time.perf_counter() - start, 4)


def main() -> None:
    """Measure all sizes and write the result."""
    sizes = [int(text) for text in sys.argv[1:]] or WORDS
    tokenizer = load_tokenizer(Path("models/base"))
    constraint = CompiledLabelConstraint(tokenizer, len(tokenizer), Taxonomy(("L1",), {("Lock",): ""}), TASK)
    rows = []
    for words in sizes:
        text = make_comment(words)
        bounded = build_content_grammar(text if can_quote(text) else None)
        seconds = {
            "unbounded": measure_compilation(constraint.compiler, build_content_grammar(make_comment(words))),
            "bounded": measure_compilation(constraint.compiler, bounded),
        }
        rows.append({"words": words, **seconds})
        print(f"{words:5} words: {seconds['unbounded']:8.3f} s unbounded, {seconds['bounded']:.3f} s bounded")
    longest = max(rows, key=lambda row: row["words"])
    waits = {
        name: measure_wait(constraint, longest["words"], bounded=name == "bounded") for name in ("unbounded", "bounded")
    }
    result: Row = {
        "command": " ".join(["python -m benchmarks.quote_grammar", *sys.argv[1:]]),
        "machine": f"cpu{os.cpu_count()}",
        "vocabulary": len(tokenizer),
        "xgrammar": version("xgrammar"),
        "quoted words": MAX_QUOTED_WORDS,
        "CPU seconds": rows,
        "CPU seconds of the longest, unbounded / bounded": round(
            longest["unbounded"] / max(longest["bounded"], 1e-4), 1
        ),
        "seconds that a short comment waits behind the longest": waits,
        "wait, unbounded / bounded": round(waits["unbounded"] / max(waits["bounded"], 1e-4), 1),
    }
    day = datetime.datetime.now(tz=datetime.UTC).date()
    out = Path(f"benchmarks/results/quote-grammar-cpu{os.cpu_count()}-{day}.json")
    write_json(out, result)
    print(
        f"{longest['words']} words, unbounded / bounded: {result['CPU seconds of the longest, unbounded / bounded']}",
        out,
    )


if __name__ == "__main__":
    run(main)
