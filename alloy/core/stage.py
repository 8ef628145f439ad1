"""How a stage starts: quiet third parties, and one clear line instead of a traceback for a user's fault."""

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from alloy.core.dvc import declared, recorded, under_dvc
from alloy.core.dvc_outputs import edited_inputs
from alloy.core.files import InputError, join_errors

# A file where a folder belongs, a folder where a file does, no right to either.
NO_PLACE = {errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.EPERM, errno.EROFS}


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`; an `InputError` or a full disk ends the process with a message and exit status 1."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Threads that wait by spinning stand in the way of those they wait for, where cores are shared: benchmarks/spin.py.
    # torch reads it when it is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # torch's and vLLM's remarks about the machine
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # bars are for people; in a log each step would be a line
    try:
        with recorded(under_dvc()):
            main()
        sys.stdout.flush()
    except BrokenPipeError:
        _end_with_closed_pipe()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        time.sleep(_patience(error))
        message = _message(error) or _edited_inputs(error)
        if message is None:
            raise
        print("\n".join(f"{_stage()}: {line}" for line in message.splitlines()), file=sys.stderr)
        _end(1)
    _end(0)


def model_name() -> str:
    """Return the model that a stage's command names."""
    if len(sys.argv) != 2:
        raise InputError(f"name one model, as in `python -m stages.{_stage()} tuned`")
    name, known = sys.argv[1], declared(_stage()).get("matrix", {}).get("model", [])
    if known and name not in known:
        raise InputError(f"there is no model '{name}' in dvc.yaml; write {' or '.join(known)}")
    return name


def _stage() -> str:
    file = Path(sys.argv[0])
    return file.parent.name if file.name == "__main__.py" else file.name.removesuffix(".py")


def _end(status: int) -> None:
    """End the process; one of many without a farewell, since DeepSpeed leaves threads at work that abort it."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    if status:
        sys.exit(status)


def _end_with_closed_pipe() -> None:
    """End quietly, with the status of SIGPIPE: whoever read standard output, such as `head`, has read enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left goes nowhere at exit
    _end(128 + signal.SIGPIPE)


def _patience(error: Exception) -> float:
    """Return the seconds to wait before saying `error`: another process may say it, whose end then ends this one."""
    if "by peer" in str(error) or type(error).__name__.startswith("Dist"):  # gloo's words, torch's classes
        return 30.0  # another process is gone and knows why
    return 0.0 if os.environ.get("RANK", "0") == "0" else 10.0


def _edited_inputs(error: Exception) -> str | None:
    """Return what to tell the user if the stage failed at inputs that were edited after other stages made them."""
    edited = edited_inputs(_stage())
    return str(join_errors(edited, f"it failed with {type(error).__name__}: {error}")) if edited else None


def _message(error: Exception) -> str | None:
    """Return what to tell the user, or None where the fault is not theirs."""
    if isinstance(error, InputError):
        return str(error)
    # safetensors and torch pass the system's words on, not its number.
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error):
        return "the disk is full; make room, then `dvc repro` goes on"
    if isinstance(error, OSError) and error.errno in NO_PLACE and error.filename:
        return f"{error.filename}: {error.strerror}; name another place, or free this one"
    return None
