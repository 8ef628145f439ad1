"""Label any comments with the tuned model.

Run     alloy classify comments.jsonl > labelled.jsonl

Takes JSON Lines, a JSON array, a table (CSV) with a column `text`, or plain lines; `-` is standard input
(alloy/formats/unlabeled.py). Prints one JSON object per comment, in their order: its fields as they were, and its
`segments`. One that could not be labelled has no segments, `valid: false` and the `reason`; fields of these three names
that the input has, from an earlier run, are replaced.

Each answer is kept until the run has ended: the same command goes on after an interruption where it was. If a service
has not answered some (refused, over the context, failed after retries), it asks for these again, and only for them. The
engine and its settings are those of the profile; `infer.engine: openai` asks a server that `make serve` started.
"""

import hashlib
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path

import orjson

import alloy
from alloy.core.dvc import list_files
from alloy.core.files import InputError, Row, hash_path, read_lines, require_file
from alloy.core.settings import load_sections
from alloy.core.terminal_text import escape_controls
from alloy.formats.unlabeled import Unlabeled, read_unlabeled
from alloy.inference.engine import Finish
from alloy.inference.settings import Infer
from alloy.inference.usage import make_retry_test
from alloy.labelling.predict import open_labeler
from alloy.labelling.settings import Prompt
from alloy.labelling.task import SPLIT, load_task
from alloy.runtime.resume import KEPT_DAYS, LIBRARIES, work_root
from alloy.runtime.row_log import RowLog

KEPT = ("segments", "valid", "finish", "reason")  # of an answer
OURS = ("segments", "valid", "reason")  # fields that are written
REASONS = {
    Finish.context.value: "the comment does not fit into the model's context",
    Finish.refused.value: "the service refused to answer",
    Finish.failed.value: "the service failed",
    Finish.length.value: "the answer was cut off at infer.max_new_tokens",
}
NO_JSON = "the answer is not a JSON list of segments"
Labeller = Callable[[list[Row], Callable[[int, Row], object]], object]  # gives each answer, with its index


class KeptAnswers:
    """Answers in `folder` by the text that they answer: those of interrupted runs, and those of this one.

    Each run writes a log of its own, so that two may go on at once.
    """

    def __init__(self, folder: Path, again: Callable[[Row], bool] | None) -> None:
        """`again` says which answers of an earlier run are asked for again."""
        self.folder = folder
        self.again = again
        self.logs = [RowLog(path, again, writes=False) for path in sorted(folder.glob("*.log"))]
        self.logs.append(RowLog(folder / f"{uuid.uuid4().hex}.log"))
        self.unfinished = False  # some have no answer

    def answer(self, comments: list[Row], work: Labeller) -> list[Row]:
        """Return the answers to comments: those that are kept, and those that `work` makes, each then kept."""
        keys = [hashlib.sha256(comment["text"].encode()).hexdigest()[:32] for comment in comments]
        answers = {key: found for key in keys if (found := self._find(key)) is not None}
        first = dict.fromkeys(key for key in keys if key not in answers)  # a text that comes twice is asked once
        left = [comments[keys.index(key)] for key in first]
        asked = list(first)

        def done(index: int, answer: Row) -> None:
            kept = {name: answer[name] for name in KEPT if name in answer}
            self.logs[-1].write(asked[index], kept)
            answers[asked[index]] = kept

        if left:
            work(left, done)
        self.unfinished |= any(self.again is not None and self.again(answers[key]) for key in keys)
        return [answers[key] for key in keys]

    def _find(self, key: str) -> Row | None:
        return next((row for log in reversed(self.logs) if not log.needs_row(key) and (row := log.read(key))), None)

    def close(self) -> None:
        """Close the files."""
        for log in self.logs:
            log.close()

    def drop(self) -> None:
        """Remove what is kept, unless the next run is to ask for some again, and what nobody has gone on with."""
        if not self.unfinished:
            for log in self.logs:
                log.path.unlink(missing_ok=True)
        old = time.time() - KEPT_DAYS * 24 * 3600
        for file in self.folder.parent.glob("*/*.log"):
            with suppress(OSError):
                if file.stat().st_mtime < old:
                    file.unlink()
        for folder in self.folder.parent.glob("*"):
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def kept_answers(model: Path, infer: Infer, prompt: Prompt) -> KeptAnswers:
    """Return the answers kept for this model and all else that an answer depends on but the comment.

    A change of the model is seen by the sizes and times of its files: to read it would take minutes.
    """
    settings = [infer.answer_settings, prompt.model_dump(mode="json")]
    states = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in list_files([str(model)])]
    parts = [
        settings,
        states,
        hash_path(SPLIT),
        hash_path(Path(alloy.__path__[0])),
        [_version(name) for name in LIBRARIES],
    ]
    key = hashlib.sha256(orjson.dumps(parts)).hexdigest()[:16]
    return KeptAnswers(work_root() / "classify" / key, make_retry_test(infer))


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def labelled(chunk: list[Unlabeled], work: Callable[[list[Row]], list[Row]]) -> Iterator[Row]:
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
    reason = REASONS.get(answer["finish"], NO_JSON)
    return {"segments": [], "valid": False, "reason": f"{reason}: {why}" if (why := answer.get("reason")) else reason}


def encode(row: Row) -> bytes:
    """Return a row as a line of JSON: numbers as they were read, control characters as JSON escapes."""
    return escape_controls(json.dumps(row, ensure_ascii=False, separators=(",", ":"))).encode() + b"\n"


def read_source(source: str) -> Iterable[Unlabeled]:
    """Return the comments of a file, all at once, or those of standard input as they come."""
    if source == "-":
        return read_unlabeled(source, sys.stdin.buffer)
    require_file(source, "give JSON Lines, CSV, or plain text with one comment per line")
    return list(read_unlabeled(source, read_lines(source)))


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
    labellers: list[Labeller] = []  # one, from the first answer on that is not kept

    def work(rows: list[Row], done: Callable[[int, Row], object]) -> None:
        if not labellers:
            labellers.append(open_labeler(model, infer, prompts))
        labellers[0](rows, done)

    counts = {"rows": 0, "without labels": 0, "usable": 0}
    chunk, reason = [first], None
    hidden = True if sys.stdout.isatty() else None  # a bar would stand among the rows
    with (
        closing(kept_answers(model, infer, prompt)) as kept,
        tqdm(total=total, unit=" comments", desc="classify", disable=hidden, dynamic_ncols=True) as bar,
    ):
        while chunk := [*chunk, *islice(rest, infer.chunk_size - len(chunk))]:
            counts["usable"] += sum(comment.reason is None for comment in chunk)
            for row in labelled(chunk, lambda rows: kept.answer(rows, work)):
                sys.stdout.buffer.write(encode(row))
                counts["rows"] += 1
                counts["without labels"] += "reason" in row
                reason = reason or row.get("reason")
            sys.stdout.buffer.flush()
            bar.update(len(chunk))
            chunk = []
    kept.drop()
    if not counts["usable"]:
        raise InputError(f"{source}: none of the {counts['rows']} rows can be labelled; the first: {reason}")
    if counts["without labels"]:
        print(
            f"classify: {counts['without labels']} of {counts['rows']} rows have no labels, see their `reason`; "
            f"the first: {reason}" + ("; the same command asks for these again" if kept.unfinished else ""),
            file=sys.stderr,
        )
