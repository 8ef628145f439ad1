"""Store the answers of lm-eval in a file as they arrive, so that a killed run loses none of them.

lm-eval's own cache is a database of pickles. Reading a pickle can run code, and damage is not detected. This file has
one line per answer: the CRC-32 of the rest of the line, then `[key, answer]` as JSON.

Example: `74883943 ["a1b2","Paris"]`.
"""

import os
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

SYNC_SECONDS = 1.0  # a power cut loses at most this much work; a killed process loses nothing


class AnswerLog:
    """The answers by key. Damaged and incomplete lines are ignored, so their answers are computed again."""

    def __init__(self, path: Path) -> None:
        """Read the file, if it exists; print one line if some of it is damaged."""
        self.answers: dict[str, Any] = {}
        damaged = 0
        content = path.read_bytes() if path.is_file() else b""
        complete = content[: content.rfind(b"\n") + 1]  # without an incomplete last line
        for line in filter(None, complete.split(b"\n")):
            entry = _read_line(line)
            if entry is None:
                damaged += 1
            else:
                key, answer = entry
                self.answers[key] = answer
        if damaged:
            print(f"{path}: {damaged} stored answer(s) are damaged and will be computed again", file=sys.stderr)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("ab")
        self.file.truncate(len(complete))
        self.synced = time.monotonic()

    def __contains__(self, key: str) -> bool:
        """Return whether there is an answer for `key`."""
        return key in self.answers

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 (a text, or a likelihood and whether it is greedy)
        """Return the answer for `key`."""
        return self.answers[key]

    def __setitem__(self, key: str, answer: Any) -> None:  # noqa: ANN401
        """Store an answer, unless there is one for `key`."""
        if key in self.answers:
            return
        self.answers[key] = answer
        row = orjson.dumps([key, answer])
        self.file.write(b"%08x %s\n" % (zlib.crc32(row), row))
        self.file.flush()
        if time.monotonic() - self.synced > SYNC_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Write all answers to the disk and wait for it. lm-eval calls this after its requests."""
        os.fsync(self.file.fileno())
        self.synced = time.monotonic()

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _read_line(line: bytes) -> tuple[str, Any] | None:
    """Return (key, answer) of a line, or None if it is damaged."""
    checksum, _, row = line.partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(row):
            return None
        key, answer = orjson.loads(row)
    except ValueError:
        return None
    return key, answer


@contextmanager
def use_answer_log() -> Iterator[None]:
    """Make lm-eval store its answers in an `AnswerLog` within this context."""
    from lm_eval.api import model

    class LoggingLM(model.CachingLM):
        """lm-eval's caching model, with an `AnswerLog` as its store."""

        def __init__(self, lm: Any, cache_db: str) -> None:  # noqa: ANN401 (lm-eval's models)
            self.lm = lm
            self.cache_db = cache_db
            self.dbdict: Any = AnswerLog(Path(cache_db))
            logs.append(self.dbdict)
            lm.set_cache_hook(self.get_cache_hook())

    logs: list[AnswerLog] = []
    before = model.CachingLM
    model.CachingLM = LoggingLM  # type: ignore[misc]
    try:
        yield
    finally:
        model.CachingLM = before  # type: ignore[misc]
        for log in logs:
            log.close()
