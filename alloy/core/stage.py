"""How a stage or command starts: quiet libraries, and one line instead of a traceback for errors that users can fix."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from alloy.core.dvc import declared, recorded, under_dvc
from alloy.core.dvc_outputs import edited_inputs
from alloy.core.files import InputError, join_errors
from alloy.core.redact import redact
from alloy.core.system_errors import explain, explain_place
from alloy.core.terminal_text import EscapingStream
from alloy.core.versions import record_environment, unexpected_versions, used_packages


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`, or a command's.

    An `InputError`, or an error of the system such as a full disk, ends the process with exit status 1 and a message.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Threads that wait by spinning stand in the way of those they wait for, where cores are shared: benchmarks/spin.py.
    # torch reads it when it is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ.setdefault("NO_COLOR", "1")  # colors of libraries would be escaped as well
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # torch's and vLLM's remarks about the machine
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # bars are for people; in a log each step would be a line
    _escape_what_is_printed()
    is_main = os.environ.get("RANK", "0") == "0"
    try:
        stage = under_dvc()
        with recorded(stage):
            for line in unexpected_versions(used_packages(stage)) if is_main else []:
                print(f"{_stage()}: {line}", file=sys.stderr)
            main()
        if is_main:
            record_environment(stage)
        sys.stdout.flush()
    except BrokenPipeError:
        _end_with_closed_pipe()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        time.sleep(_patience(error))
        message = _message(error) or _edited_inputs(error)
        if message is None:  # an error in Alloy
            lines = "".join(traceback.format_exception(error)).rstrip("\n")
        else:
            lines = "\n".join(f"{_stage()}: {line}" for line in message.splitlines())
        with suppress(OSError):  # standard error may be a file on the full disk
            print(redact(lines), file=sys.stderr, flush=True)
        _drop_unwritable_output()
        _end(1)
    _end(0)


def _escape_what_is_printed() -> None:
    """Let no control character of data reach the terminal: in messages, warnings of libraries, and tracebacks."""
    out: Any = sys.stdout
    err: Any = sys.stderr
    if not isinstance(out, EscapingStream):
        sys.stdout, sys.stderr = EscapingStream(out), EscapingStream(err, bars=True)  # type: ignore[assignment]


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


def _drop_unwritable_output() -> None:
    """Let what cannot be written to standard output go, or Python would say so again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
    """Return what to tell the user, or None for a bug."""
    own = str(error) if isinstance(error, InputError) else None
    if line := explain(error, gpu=own is None):
        return f"{line}; what is done is kept: {'run the command' if _stage() == 'alloy' else '`dvc repro`'} again"
    return own or explain_place(error)
