"""Answers that lm-eval was given, kept in a file as they come, so that a kill costs none of them.

lm-eval keeps answers in a database of pickles, which can run code when it is read and is not checked. This file holds a
line per answer: the CRC-32 of the rest of the line, then `[key, answer]` as JSON.
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

SYNC_SECONDS = 1.0  # at most so much work is lost in a power cut; a kill loses nothing


class AnswerLog:
    """The answers by key. An answer whose line is damaged, or was being written at a kill, is asked for again."""

    def __init__(self, path: Path) -> None:
        """Read what is there; say in one line if some of it is damaged."""
        self.answers: dict[str, Any] = {}
        damaged = 0
        content = path.read_bytes() if path.is_file() else b""
        whole = content[: content.rfind(b"\n") + 1]  # what follows was being written
        for line in filter(None, whole.split(b"\n")):
            found = _read_line(line)
            if found is None:
                damaged += 1
            else:
                self.answers[found[0]] = found[1]
        if damaged:
            print(f"{path}: {damaged} kept answer(s) damaged; asking for them again", file=sys.stderr)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("ab")
        self.file.truncate(len(whole))
        self.synced = time.monotonic()

    def __contains__(self, key: str) -> bool:
        """Return whether the answer is known."""
        return key in self.answers

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 (a text, or a likelihood and whether it is greedy)
        """Return the answer."""
        return self.answers[key]

    def __setitem__(self, key: str, answer: Any) -> None:  # noqa: ANN401
        """Keep an answer; one that is known already is not written again."""
        if key in self.answers:
            return
        self.answers[key] = answer
        row = orjson.dumps([key, answer])
        self.file.write(b"%08x %s\n" % (zlib.crc32(row), row))
        self.file.flush()
        if time.monotonic() - self.synced > SYNC_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Wait until what was kept is on the disk; lm-eval calls this after its requests."""
        os.fsync(self.file.fileno())
        self.synced = time.monotonic()

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _read_line(line: bytes) -> tuple[str, Any] | None:
    """Return (key, answer) of a line, None if it is damaged."""
    checksum, _, row = line.partition(b" ")
    try:
        if int(checksum, 16) != zlib.crc32(row):
            return None
        key, answer = orjson.loads(row)
    except ValueError:
        return None
    return key, answer


@contextmanager
def kept_answers() -> Iterator[None]:
    """Let lm-eval keep its answers in an `AnswerLog` within this context."""
    from lm_eval.api import model

    class KeptAnswers(model.CachingLM):
        """lm-eval's wrapper, with another store."""

        def __init__(self, lm: Any, cache_db: str) -> None:  # noqa: ANN401 (lm-eval's models)
            self.lm = lm
            self.cache_db = cache_db
            self.dbdict: Any = AnswerLog(Path(cache_db))
            logs.append(self.dbdict)
            lm.set_cache_hook(self.get_cache_hook())

    logs: list[AnswerLog] = []
    before = model.CachingLM
    model.CachingLM = KeptAnswers  # type: ignore[misc]
    try:
        yield
    finally:
        model.CachingLM = before  # type: ignore[misc]
        for log in logs:
            log.close()
