"""What the system refuses a process: room on a disk, memory, open files. One line for each, with what helps.

Libraries pass these errors on in their own classes: as an `OSError` with a number, as the number alone in a text
("os error 28", which safetensors and tokenizers write), or as the system's words (torch, SQLite, Arrow). Another error
may be raised while one of them is handled, such as "not a whole file": the first says what happened.
"""

import errno
import os
import re
from collections.abc import Iterator

# What helps, by the number of an error.
ADVICE = {
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "the disk quota is used up; make room, or ask for more",
    errno.EFBIG: "the file grew larger than the limit of this process or file system (`ulimit -f`); raise it",
    errno.EIO: "the disk could not be read or written (input/output error); check the disk, or use another one",
    errno.EMFILE: "too many open files; raise the limit, as in `ulimit -n 65536`",
    errno.ENFILE: "too many open files on this machine; close other programs",
    errno.ENOMEM: "out of memory; use smaller batches, a smaller model, or a machine with more memory",
    errno.EAGAIN: "no more processes or threads are allowed (`ulimit -u`, or the limit of the container); raise it",
    errno.EROFS: "the file system is read-only; name another place, or make it writable",
    errno.ESTALE: "the network file system lost this file; check its server, or use another disk",
}
GPU_MEMORY = "out of GPU memory; use smaller batches, a smaller model, or a GPU with more memory"
# What belongs elsewhere, or may not be touched: a folder where a file is, no permission.
WRONG_PLACE = {errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP}
# Words of the system and of libraries, for errors without a number.
WORDS = {
    errno.ENOSPC: ("no space left on device", "database or disk is full"),
    errno.EDQUOT: ("disk quota exceeded",),
    errno.EFBIG: ("file too large",),
    errno.EIO: ("input/output error", "disk i/o error"),
    errno.EMFILE: ("too many open files",),
    errno.ENOMEM: (
        "cannot allocate memory",
        "can't allocate memory",
        "not enough memory",
        "out of memory",
        "bad_alloc",
    ),
    errno.EAGAIN: ("can't start new thread", "resource temporarily unavailable"),
    errno.EROFS: ("read-only file system", "attempt to write a readonly database"),
}
NUMBERED = re.compile(r"(?:os error |\[Errno )(\d+)")
GPU_WORDS = (
    "cuda out of memory",
    "cuda error: out of memory",
    "cublas_status_alloc_failed",
    "hip out of memory",
    "less than desired gpu memory utilization",  # vLLM
    "no available memory for the cache blocks",  # vLLM
)


def explain(error: BaseException, *, gpu: bool = True) -> str | None:
    """Return one line for an error of the system: the file, what is wrong, what helps; None for any other error.

    Without `gpu`, memory of a GPU is left out, for errors that say better what helps.
    """
    for one in _chain(error):
        if gpu and (line := _gpu_line(one)):
            return line
        number = error_number(one)
        if number is not None:
            file = getattr(one, "filename", None)
            place = f"{os.fsdecode(file)}: " if isinstance(file, str | bytes | os.PathLike) else ""
            return f"{place}{ADVICE[number]}"
    return None


def explain_place(error: BaseException) -> str | None:
    """Return one line for a file that is in the way, or may not be touched; None for any other error."""
    if isinstance(error, OSError) and error.errno in WRONG_PLACE and error.filename:
        return f"{os.fsdecode(error.filename)}: {error.strerror}; name another place, or free this one"
    return None


def is_system_error(error: BaseException) -> bool:
    """Return whether the system lacks something, so that neither the user's input nor another try is at fault."""
    return any(_gpu_line(one) or error_number(one) is not None for one in _chain(error))


def error_number(error: BaseException) -> int | None:
    """Return which of the errors of `ADVICE` this is, None if it is no such error."""
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(error, BlockingIOError):  # a lock that another process holds, a pipe that is full
        return None
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in ADVICE else None
    # The words of other errors of Python and of our own may quote what a user wrote.
    foreign = type(error).__module__.partition(".")[0] not in ("alloy", "builtins")
    if not foreign and not isinstance(error, OSError | RuntimeError | ImportError):
        return None
    text = str(error)
    if (found := NUMBERED.search(text)) and int(found[1]) in ADVICE:
        return int(found[1])
    lowered = text.lower()
    return next((number for number, words in WORDS.items() if any(word in lowered for word in words)), None)


def _gpu_line(error: BaseException) -> str | None:
    """Return the line for a GPU that has no memory left; None for any other error."""
    if type(error).__name__ == "OutOfMemoryError":  # torch's: to name the class would load torch
        return GPU_MEMORY
    text = str(error).lower()
    by_words = isinstance(error, RuntimeError | ValueError) and any(word in text for word in GPU_WORDS)
    return GPU_MEMORY if by_words else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield `error`, then what it was raised from, or while handling what."""
    seen = set[int]()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__  # also where `from None` keeps it from a traceback
