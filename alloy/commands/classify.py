"""Label comments with the tuned model.

Run     alloy classify comments.jsonl > labeled.jsonl

Reads JSON Lines, a JSON array, a CSV table with a column `text`, or plain lines; `-` is standard input
(alloy/formats/unlabeled.py). Prints one JSON object per comment, in the order of the input: its fields, unchanged, and
its `segments`. A comment without labels has no segments, `valid: false` and the `reason`. If the input has fields of
these three names, from an earlier run, they are replaced.

Answers are kept until the run has finished, so that the same command continues after an interruption. If a service did
not answer some comments (refused, longer than the context, failed after retries), the same command sends only these
again. The engine and its settings come from the profile; `infer.engine: openai` asks a server that `make
serve` started.
"""

import hashlib
import json
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

import orjson

import alloy
from alloy.core.dvc import list_files
from alloy.core.files import InputError, Row, hash_path, read_lines, require_file
from alloy.core.settings import load_sections
from alloy.core.terminal_text import escape_controls
from alloy.core.versions import find_installed_version
from alloy.formats.unlabeled import Unlabeled, read_unlabeled
from alloy.inference.engine import Finish
from alloy.inference.settings import Infer
from alloy.inference.usage import make_needs_retry
from alloy.labeling.predict import open_labeler
from alloy.labeling.settings import Prompt
from alloy.labeling.task import SPLIT_FOLDER, load_task
from alloy.runtime.resume import KEPT_DAYS, LIBRARIES, get_work_root
from alloy.runtime.row_log import RowLog

KEPT_FIELDS = ("segments", "valid", "finish", "reason")  # of an answer
WRITTEN_FIELDS = ("segments", "valid", "reason")
REASONS = {
    Finish.context.value: "the comment does not fit into the model's context",
    Finish.refused.value: "the service refused to answer",
    Finish.failed.value: "the service failed",
    Finish.length.value: "the answer was cut off at infer.max_new_tokens",
}
NOT_JSON = "the answer is not a JSON list of segments"
Labeler = Callable[[list[Row], Callable[[int, Row], object]], object]  # reports each answer with its index


class KeptAnswers:
    """Answers of this run and of interrupted runs, in `folder`, by the text of the comment.

    Each run writes its own log, so that two runs can work at the same time.
    """

    def __init__(self, folder: Path, needs_retry: Callable[[Row], bool] | None) -> None:
        """`needs_retry` returns whether a comment must be asked again, given its answer of an earlier run."""
        self.folder = folder
        self.needs_retry = needs_retry
        self.logs = [RowLog(path, needs_retry, writes=False) for path in sorted(folder.glob("*.log"))]
        self.logs.append(RowLog(folder / f"{uuid.uuid4().hex}.log"))
        self.unfinished = False  # whether some comments have no answer

    def answer_all(self, comments: list[Row], label: Labeler) -> list[Row]:
        """Return the answers to comments. Comments without a kept answer are labeled; new answers are kept at once."""
        keys = [hashlib.sha256(comment["text"].encode()).hexdigest()[:32] for comment in comments]
        answers = {key: answer for key in keys if (answer := self._find_answer(key)) is not None}
        new_keys = list(dict.fromkeys(key for key in keys if key not in answers))  # each text is asked once
        unanswered = [comments[keys.index(key)] for key in new_keys]

        def keep_answer(index: int, answer: Row) -> None:
            kept = {name: answer[name] for name in KEPT_FIELDS if name in answer}
            self.logs[-1].write(new_keys[index], kept)
            answers[new_keys[index]] = kept

        if unanswered:
            label(unanswered, keep_answer)
        self.unfinished |= any(self.needs_retry is not None and self.needs_retry(answers[key]) for key in keys)
        return [answers[key] for key in keys]

    def _find_answer(self, key: str) -> Row | None:
        return next((row for log in reversed(self.logs) if not log.needs_row(key) and (row := log.read(key))), None)

    def close(self) -> None:
        """Close the files."""
        for log in self.logs:
            log.close()

    def remove_finished(self) -> None:
        """Remove the answers if all comments have one, and the logs of runs that are older than `KEPT_DAYS` days."""
        if not self.unfinished:
            for log in self.logs:
                log.path.unlink(missing_ok=True)
        old = time.time() - KEPT_DAYS * 24 * 3600
        for file in self.folder.parent.glob("*/*.log"):
            with suppress(OSError):
                if file.stat().st_mtime < old:
                    file.unlink()
        for folder in self.folder.parent.glob("*"):
            with suppress(OSError):  # a folder that is not empty
                folder.rmdir()


def open_kept_answers(model: Path, infer: Infer, prompt: Prompt) -> KeptAnswers:
    """Return the kept answers of the same model, settings, taxonomy, code and libraries.

    A changed model is recognized by the sizes and times of its files, because reading it would take minutes.
    """
    settings = [infer.answer_settings, prompt.model_dump(mode="json")]
    states = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in list_files([str(model)])]
    libraries = [find_installed_version(name) for name in LIBRARIES]
    parts = [settings, states, hash_path(SPLIT_FOLDER), hash_path(Path(alloy.__path__[0])), libraries]
    key = hashlib.sha256(orjson.dumps(parts)).hexdigest()[:16]
    return KeptAnswers(get_work_root() / "classify" / key, make_needs_retry(infer))


def label_chunk(chunk: list[Unlabeled], answer_all: Callable[[list[Row]], list[Row]]) -> Iterator[Row]:
    """Yield the rows of a chunk with their labels; `answer_all` returns the answers to the usable comments."""
    usable = [{"id": "", "text": comment.row["text"]} for comment in chunk if comment.reason is None]
    answers = iter(answer_all(usable) if usable else [])
    for row, reason in chunk:
        fields = {key: value for key, value in row.items() if key not in WRITTEN_FIELDS}
        if reason is None:
            yield {**fields, **to_output_fields(next(answers))}
        else:
            yield {**fields, "segments": [], "valid": False, "reason": reason}


def to_output_fields(answer: Row) -> Row:
    """Return the fields that are written for an answer."""
    if answer["valid"]:
        return {"segments": answer["segments"]}
    reason = REASONS.get(answer["finish"], NOT_JSON)
    return {"segments": [], "valid": False, "reason": f"{reason}: {why}" if (why := answer.get("reason")) else reason}


def encode_row(row: Row) -> bytes:
    """Return a row as a line of JSON: numbers are unchanged, control characters are JSON escapes."""
    return escape_controls(json.dumps(row, ensure_ascii=False, separators=(",", ":"))).encode() + b"\n"


def read_source(source: str) -> Iterable[Unlabeled]:
    """Return the comments of a file as a list, or those of standard input one by one."""
    if source == "-":
        return read_unlabeled(source, sys.stdin.buffer)
    require_file(source, "expected JSON Lines, CSV, or plain text with one comment per line")
    return list(read_unlabeled(source, read_lines(source)))


def main(source: str, model: Path) -> None:
    """Label the comments of a source and print them, one chunk at a time."""
    from tqdm import tqdm

    comments = read_source(source)
    total = len(comments) if isinstance(comments, list) else None
    remaining = iter(comments)
    first = next(remaining, None)
    if first is None:
        raise InputError(f"{source}: expected one comment per line, got none")
    prompt, infer = load_sections(Prompt, Infer)
    prompts = load_task(prompt)
    labelers: list[
        Labeler
    ] = []  # at most one; the model is loaded when the first comment without a kept answer is labeled

    def label_with_model(rows: list[Row], report: Callable[[int, Row], object]) -> None:
        if not labelers:
            labelers.append(open_labeler(model, infer, prompts))
        labelers[0](rows, report)

    counts = {"rows": 0, "without labels": 0, "usable": 0}
    chunk, reason = [first], None
    hidden = True if sys.stdout.isatty() else None  # the bar would be mixed with the rows
    with (
        closing(open_kept_answers(model, infer, prompt)) as kept_answers,
        tqdm(total=total, unit=" comments", desc="classify", disable=hidden, dynamic_ncols=True) as bar,
    ):
        while chunk := [*chunk, *islice(remaining, infer.chunk_size - len(chunk))]:
            counts["usable"] += sum(comment.reason is None for comment in chunk)
            for row in label_chunk(chunk, lambda rows: kept_answers.answer_all(rows, label_with_model)):
                sys.stdout.buffer.write(encode_row(row))
                counts["rows"] += 1
                counts["without labels"] += "reason" in row
                reason = reason or row.get("reason")
            sys.stdout.buffer.flush()
            bar.update(len(chunk))
            chunk = []
    kept_answers.remove_finished()
    if not counts["usable"]:
        raise InputError(f"{source}: none of the {counts['rows']} rows can be labeled; the first reason: {reason}")
    if counts["without labels"]:
        print(
            f"classify: {counts['without labels']} of {counts['rows']} rows have no labels, see `reason`; "
            f"the first reason: {reason}"
            + ("; the same command asks for these again" if kept_answers.unfinished else ""),
            file=sys.stderr,
        )
