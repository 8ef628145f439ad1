"""Label any comments with the tuned model.

Run     python -m alloy.commands.classify comments.jsonl > labelled.jsonl

Takes JSON Lines with a `text` (other fields are passed on), or plain text, one comment a line; `-` is standard input.
Prints each with its `segments`, and with `valid: false` where the model's answer was no JSON. The engine and its
settings are those of the profile; `infer.engine: openai` asks a server that `make serve` started.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import orjson

from alloy.core.files import InputError, Row, decode_text
from alloy.core.params import load_params, load_profile
from alloy.core.stage import run
from alloy.labelling.predict import label, open_labelling_engine
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


def main() -> None:
    """Read, label, print, a chunk at a time."""
    parser = argparse.ArgumentParser("python -m alloy.commands.classify")
    parser.add_argument("comments", help="a file, or - for standard input")
    parser.add_argument("--model", default="models/tuned", help="a model's folder (%(default)s)")
    given = parser.parse_args()
    if given.comments != "-" and not Path(given.comments).is_file():
        raise InputError(f"{given.comments}: no such file; give one comment a line")
    params = load_params()
    prompts = load_task(params.prompt)
    with sys.stdin.buffer if given.comments == "-" else Path(given.comments).open("rb") as lines:
        comments = read_comments(given.comments, lines)
        first = list(islice(comments, 1))  # a fault in it should not wait for the model
        infer = load_profile(params.profile).infer
        engine = open_labelling_engine(Path(given.model), infer, prompts)
        while chunk := [*first, *islice(comments, infer.chunk - len(first))]:
            first = []
            for comment, answer in zip(chunk, label(engine, prompts, chunk, lambda _: None), strict=True):
                said = {"segments": answer["segments"]} | ({} if answer["valid"] else {"valid": False})
                sys.stdout.buffer.write(orjson.dumps({**comment, **said}, option=orjson.OPT_APPEND_NEWLINE))
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    run(main)
