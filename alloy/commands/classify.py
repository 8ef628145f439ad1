"""Label any comments with the tuned model.

Run     alloy classify comments.jsonl > labelled.jsonl

Takes JSON Lines with a `text` (other fields are passed on), or plain text, one comment a line; `-` is standard input.
Prints each with its `segments`, and with `valid: false` where the model's answer was no JSON. The engine and its
settings are those of the profile; `infer.engine: openai` asks a server that `make serve` started.
"""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import orjson

from alloy.core.files import InputError, Row, decode_text
from alloy.core.settings import load_sections
from alloy.inference.settings import Infer
from alloy.labelling.predict import label, open_labelling_engine
from alloy.labelling.settings import Prompt
from alloy.labelling.task import load_task


def read_comments(name: str, lines: Iterable[bytes]) -> Iterator[Row]:
    """Yield a row with `id`, else the number of the line, and `text` for each line that is not blank."""
    for number, line in enumerate(decode_text(name, lines), 1):
        if not line.strip():
            continue
        row: Row = {"text": line.strip()}
        if line.lstrip().startswith("{"):
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise InputError(f"{name}:{number}: not valid JSON ({error}); write one object a line") from None
        if not isinstance(row.get("text"), str) or not row["text"].strip():
            raise InputError(f"{name}:{number}: `text` is missing or empty; give the comment or drop the line")
        yield {"id": str(number), **row}


def main(source: str, model: Path) -> None:
    """Read, label, print, a chunk at a time."""
    if source != "-" and not Path(source).is_file():
        raise InputError(f"{source}: no such file; give one comment a line")
    prompt, infer = load_sections(Prompt, Infer)
    prompts = load_task(prompt)
    with sys.stdin.buffer if source == "-" else Path(source).open("rb") as lines:
        comments = read_comments(source, lines)
        first = list(islice(comments, 1))  # a fault in it should not wait for the model
        engine = open_labelling_engine(model, infer, prompts)
        while chunk := [*first, *islice(comments, infer.chunk - len(first))]:
            first = []
            for comment, answer in zip(chunk, label(engine, prompts, chunk, lambda _: None), strict=True):
                said = {"segments": answer["segments"]} | ({} if answer["valid"] else {"valid": False})
                sys.stdout.buffer.write(orjson.dumps({**comment, **said}, option=orjson.OPT_APPEND_NEWLINE))
            sys.stdout.buffer.flush()
