"""Label any comments with the tuned model.

Run     alloy classify comments.jsonl > labelled.jsonl

Takes JSON Lines, a JSON array, a table (CSV) with a column `text`, or plain lines; `-` is standard input
(alloy/formats/unlabelled.py). Prints one JSON object per comment, in their order: its fields as they were, and its
`segments`. One that could not be labelled has no segments, `valid: false` and the `reason`; fields of these three names
that the input has, from an earlier run, are replaced.

Each chunk of answers is kept until the run has ended: the same command goes on after an interruption where it was. The
engine and its settings are those of the profile; `infer.engine: openai` asks a server that `make serve` started.
"""

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path

import orjson

import alloy
from alloy.core.dvc import files
from alloy.core.files import InputError, Row, read_jsonl, read_lines, require_file, sha256, write_jsonl
from alloy.core.settings import load_sections
from alloy.formats.unlabelled import Unlabelled, read_unlabelled
from alloy.inference.engine import Finish
from alloy.inference.settings import Infer
from alloy.labelling.predict import label, open_labelling_engine
from alloy.labelling.settings import Prompt
from alloy.labelling.task import SPLIT, load_task
from alloy.runtime.resume import LIBRARIES, home

OURS = ("segments", "valid", "reason")  # fields that are written
KEPT_DAYS = 30  # for which answers of an interrupted run are kept
REASONS = {
    Finish.context.value: "the comment does not fit into the model's context",
    Finish.refused.value: "the service refused to answer",
    Finish.length.value: "the answer was cut off at infer.max_new_tokens",
}
NO_JSON = "the answer is not a JSON list of segments"
Labeller = Callable[[list[Row]], list[Row]]  # comments to answers of `label`


@dataclass
class KeptAnswers:
    """Answers of chunks in `folder`, each in a file named by the texts that it answers; `used`: files of this run."""

    folder: Path
    used: list[Path] = field(default_factory=list)

    def answer(self, comments: list[Row], work: Labeller) -> list[Row]:
        """Return the answers to a chunk of comments: those of an interrupted run, or what `work` makes, then kept."""
        texts = orjson.dumps([comment["text"] for comment in comments])
        file = self.folder / f"{hashlib.sha256(texts).hexdigest()[:32]}.jsonl"
        self.used.append(file)
        with suppress(InputError, KeyError, OSError):  # none are kept, or they are damaged
            answers = read_jsonl(file)
            if [answer["text"] for answer in answers] == [comment["text"] for comment in comments]:
                return answers
        answers = [
            {"text": comment["text"], **{key: answer[key] for key in ("segments", "valid", "finish")}}
            for comment, answer in zip(comments, work(comments), strict=True)
        ]
        write_jsonl(file, answers)
        return answers

    def drop(self) -> None:
        """Remove what this run has used, and what is left of runs that nobody has gone on with."""
        old = time.time() - KEPT_DAYS * 24 * 3600
        for file in self.folder.parent.glob("*/*.jsonl"):
            with suppress(OSError):
                if file in self.used or file.stat().st_mtime < old:
                    file.unlink()
        for folder in self.folder.parent.glob("*"):
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def kept_answers(model: Path, settings: list[Row]) -> KeptAnswers:
    """Return the answers kept for this model and all else that an answer depends on but the comment.

    A change of the model is seen by the sizes and times of its files: to read it would take minutes.
    """
    states = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files([str(model)])]
    parts = [settings, states, sha256(SPLIT), sha256(Path(alloy.__path__[0])), [_version(name) for name in LIBRARIES]]
    key = hashlib.sha256(orjson.dumps(parts)).hexdigest()[:16]
    return KeptAnswers(home() / "classify" / key)


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def labelled(chunk: list[Unlabelled], work: Callable[[list[Row]], list[Row]]) -> Iterator[Row]:
    """Yield the rows of a chunk with their labels; `work` answers those that can be labelled."""
    usable = [{"id": "", "text": comment.row["text"]} for comment in chunk if comment.reason is None]
    answers = iter(work(usable) if usable else [])
    for row, reason in chunk:
        given = {key: value for key, value in row.items() if key not in OURS}
        if reason is None:
            answer = next(answers)
            yield {**given, **said(answer)}
        else:
            yield {**given, "segments": [], "valid": False, "reason": reason}


def said(answer: Row) -> Row:
    """Return what is written of an answer."""
    if answer["valid"]:
        return {"segments": answer["segments"]}
    return {"segments": [], "valid": False, "reason": REASONS.get(answer["finish"], NO_JSON)}


def encode(row: Row) -> bytes:
    """Return a row as a line of JSON, numbers as they were read."""
    try:
        return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:  # half of a surrogate pair in another field than `text`
        return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def read_source(source: str) -> Iterable[Unlabelled]:
    """Return the comments of a file, all at once, or those of standard input as they come."""
    if source == "-":
        return read_unlabelled(source, sys.stdin.buffer)
    require_file(source, "give JSON Lines, CSV, or plain text with one comment per line")
    return list(read_unlabelled(source, read_lines(source)))


def main(source: str, model: Path) -> None:
    """Read, label, print, a chunk at a time."""
    from tqdm import tqdm

    comments = read_source(source)
    total = len(comments) if isinstance(comments, list) else None
    rest = iter(comments)
    first = next(rest, None)
    if first is None:
        raise InputError(f"{source}: no comments; give one per line")
    prompt, infer = load_sections(Prompt, Infer)
    prompts = load_task(prompt)
    kept = kept_answers(model, [part.model_dump(mode="json") for part in (prompt, infer)])
    engines = []  # one, from the first chunk on that is not kept

    def work(rows: list[Row]) -> list[Row]:
        if not engines:
            engines.append(open_labelling_engine(model, infer, prompts))
        return label(engines[0], prompts, rows, lambda _: None)

    counts = {"rows": 0, "without labels": 0}
    chunk, reason = [first], None
    hidden = True if sys.stdout.isatty() else None  # a bar would stand among the rows
    with tqdm(total=total, unit=" comments", desc="classify", disable=hidden, dynamic_ncols=True) as bar:
        while chunk := [*chunk, *islice(rest, infer.chunk - len(chunk))]:
            for row in labelled(chunk, lambda rows: kept.answer(rows, work)):
                sys.stdout.buffer.write(encode(row))
                counts["rows"] += 1
                counts["without labels"] += "reason" in row
                reason = reason or row.get("reason")
            sys.stdout.buffer.flush()
            bar.update(len(chunk))
            chunk = []
    if not kept.used:
        raise InputError(f"{source}: none of the {counts['rows']} rows can be labelled; the first: {reason}")
    kept.drop()
    if counts["without labels"]:
        print(
            f"classify: {counts['without labels']} of {counts['rows']} rows have no labels, see their `reason`; "
            f"the first: {reason}",
            file=sys.stderr,
        )
