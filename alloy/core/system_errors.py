"""Explain system errors, such as a full disk, in one line each: what is wrong, and how to fix it.

Libraries pass these errors on in different ways: as an `OSError` with a number, as a number in a text ("os error 28",
by safetensors and tokenizers), as the words of the system (SQLite, Arrow), or as a count of bytes (NumPy, torch).
A library may raise another error
while it handles one of them, such as "incomplete file"; then the first error is the cause.
"""

import errno
import os
import re
from collections.abc import Iterator

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

# What is wrong and how to fix it, by error number.
ADVICE = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space, or ask for a larger quota",
    errno.EFBIG: "the file grew larger than the limit of this process or file system (`ulimit -f`); raise the limit",
    errno.EIO: "the disk could not be read or written (input/output error); check the disk, or use another one",
    errno.EMFILE: "too many open files; raise the limit, as in `ulimit -n 65536`",
    errno.ENFILE: "too many open files on this machine; close other programs",
    errno.ENOMEM: "out of memory; use smaller batches, a smaller model, or a machine with more memory",
    errno.EAGAIN: "too many processes or threads; raise the limit (`ulimit -u`, or the limit of the container)",
    errno.EROFS: "the file system is read-only; use another path, or make the file system writable",
    errno.ESTALE: "the network file system lost this file; check its server, or use another disk",
}
GPU_MEMORY = "out of GPU memory; use smaller batches, a smaller model, or a GPU with more memory"
# Errors of a path: a folder in place of a file, no permission, a name that is too long.
PATH_ERRORS = {errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP}
# Words of the system and of libraries that identify errors without a number.
ERROR_WORDS = {
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
ERROR_NUMBER = re.compile(r"(?:os error |\[Errno )(\d+)")
INCOMPLETE_WRITE = re.compile(  # by NumPy and torch, which do not say why
    r"\d+ requested and \d+ written|inline_container\.cc.*unexpected pos|PytorchStreamWriter failed writing"
)
GPU_WORDS = (
    "cuda out of memory",
    "cuda error: out of memory",
    "cublas_status_alloc_failed",
    "hip out of memory",
    "less than desired gpu memory utilization",  # vLLM
    "no available memory for the cache blocks",  # vLLM
)


def explain_system_error(error: BaseException, *, gpu: bool = True) -> str | None:
    """Return one line about a system error: the file, what is wrong, how to fix it; None for any other error.

    Without `gpu`, errors of GPU memory are ignored, since the caller has a better message.
    """
    for cause in _iterate_causes(error):
        if gpu and (line := _describe_gpu_error(cause)):
            return line
        number = find_error_number(cause)
        if number is not None:
            file = getattr(cause, "filename", None)
            location = f"{os.fsdecode(file)}: " if isinstance(file, str | bytes | os.PathLike) else ""
            return f"{location}{ADVICE[number]}"
    return None


def explain_path_error(error: BaseException) -> str | None:
    """Return one line about a path that exists already or that may not be accessed; None for any other error."""
    if isinstance(error, OSError) and error.errno in PATH_ERRORS and error.filename:
        return f"{os.fsdecode(error.filename)}: {error.strerror}; use another path, or change this one"
    return None


def is_system_error(error: BaseException) -> bool:
    """Return whether a system error caused `error`, rather than the input or a service."""
    return any(_describe_gpu_error(cause) or find_error_number(cause) is not None for cause in _iterate_causes(error))


def find_error_number(error: BaseException) -> int | None:
    """Return the number of the error in `ADVICE`, or None if it is another error."""
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    if isinstance(error, BlockingIOError):  # another process holds a lock, or a pipe is full
        return None
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in ADVICE else None
    text = str(error)
    found = ERROR_NUMBER.search(text)
    number = int(found[1]) if found and int(found[1]) in ADVICE else None
    if type(error) is Exception:  # of a library in Rust, such as tokenizers
        return number
    # Other errors of Python and of Alloy are not searched for words, since they may quote text of the user.
    is_library_error = type(error).__module__.partition(".")[0] not in ("alloy", "builtins")
    if not is_library_error and not isinstance(error, OSError | RuntimeError | ImportError):
        return None
    if number is not None:
        return number
    if INCOMPLETE_WRITE.search(text):
        return errno.EFBIG if _is_file_size_limited() else errno.ENOSPC
    lowered = text.lower()
    return next((number for number, words in ERROR_WORDS.items() if any(word in lowered for word in words)), None)


def _is_file_size_limited() -> bool:
    """Return whether this process may only write files up to a size (`ulimit -f`)."""
    return resource is not None and resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY


def _describe_gpu_error(error: BaseException) -> str | None:
    """Return the line about a GPU without free memory; None for any other error."""
    if type(error).__name__ == "OutOfMemoryError":  # of torch; checked by name, so that torch is not loaded
        return GPU_MEMORY
    text = str(error).lower()
    matches = isinstance(error, RuntimeError | ValueError) and any(word in text for word in GPU_WORDS)
    return GPU_MEMORY if matches else None


def _iterate_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error`, then the errors that it was raised from or while handling, their causes, and so on."""
    seen, waiting = set[int](), [error]
    while waiting:
        cause = waiting.pop()
        if id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            # The context also if `from None` hides it in tracebacks.
            waiting += [other for other in (cause.__context__, cause.__cause__) if other is not None]
