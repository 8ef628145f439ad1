"""Run a stage or command. Errors that users can fix are shown as one line instead of a traceback."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from alloy.core.dvc import read_current_stage, read_stage_entry, require_unchanged_inputs
from alloy.core.dvc_outputs import find_edited_inputs, find_edited_outputs
from alloy.core.files import InputError, join_errors
from alloy.core.redact import redact
from alloy.core.system_errors import explain_path_error, explain_system_error
from alloy.core.terminal_text import EscapingStream
from alloy.core.versions import find_unexpected_versions, list_used_packages, record_environment


def run(main: Callable[[], None], reads: Sequence[str] = ()) -> None:
    """Run the `main` function of a stage or command, and end the process.

    `reads`: the outputs of stages that a command reads. dvc.lock has those of a stage.

    An `InputError`, or a system error such as a full disk, ends it with exit status 1 and a message without traceback.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # If cores are shared, waiting threads that spin slow down the threads that they wait for (benchmarks/spin.py).
    # torch reads this variable when it is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ.setdefault("NO_COLOR", "1")  # color codes of libraries would be escaped like other control characters
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # no warnings of torch and vLLM about the machine
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # in a log, each step of a progress bar would be a line
    _escape_output()
    is_main = os.environ.get("RANK", "0") == "0"
    try:
        stage = read_current_stage()
        with require_unchanged_inputs(stage):
            for line in find_unexpected_versions(list_used_packages(stage)) if is_main else []:
                print(f"{_get_stage_name()}: {line}", file=sys.stderr)
            main()
        if is_main:
            record_environment(stage)
        sys.stdout.flush()
    except BrokenPipeError:
        _end_with_closed_pipe()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        time.sleep(_choose_report_delay(error))
        message = _make_user_message(error) or _describe_edited_inputs(error, reads)
        if message is None:  # an error in Alloy
            lines = "".join(traceback.format_exception(error)).rstrip("\n")
        else:
            lines = "\n".join(f"{_get_stage_name()}: {line}" for line in message.splitlines())
        with suppress(OSError):  # standard error may be a file on the full disk
            print(redact(lines), file=sys.stderr, flush=True)
        _drop_unwritable_output()
        _exit_process(1)
    _exit_process(0)


def _escape_output() -> None:
    """Escape control characters in everything that is printed: messages, warnings of libraries, and tracebacks."""
    out: Any = sys.stdout
    err: Any = sys.stderr
    if not isinstance(out, EscapingStream):
        sys.stdout, sys.stderr = EscapingStream(out), EscapingStream(err, bars=True)  # type: ignore[assignment]


def read_model_name() -> str:
    """Return the model that is named on the command line of a stage."""
    if len(sys.argv) != 2:
        raise InputError(f"expected one model, as in `python -m stages.{_get_stage_name()} tuned`")
    name, known = sys.argv[1], read_stage_entry(_get_stage_name()).get("matrix", {}).get("model", [])
    if known and name not in known:
        raise InputError(f"unknown model '{name}'; expected {' or '.join(known)} as in dvc.yaml")
    return name


def _get_stage_name() -> str:
    """Return the name of the stage or command that this process runs, for messages."""
    file = Path(sys.argv[0])
    return file.parent.name if file.name == "__main__.py" else file.name.removesuffix(".py")


def _exit_process(status: int) -> None:
    """End the process. In a distributed run, skip Python's cleanup, since threads of DeepSpeed would abort it."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    if status:
        sys.exit(status)


def _end_with_closed_pipe() -> None:
    """End quietly, with the status of SIGPIPE: the reader of standard output, such as `head`, has closed it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # discard the rest at exit
    _exit_process(128 + signal.SIGPIPE)


def _drop_unwritable_output() -> None:
    """Discard output that cannot be written; otherwise Python would report the error again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _choose_report_delay(error: Exception) -> float:
    """Return the seconds to wait before reporting `error`, so that the process in which it began can report first."""
    if "by peer" in str(error) or type(error).__name__.startswith("Dist"):  # words of gloo, classes of torch
        return 30.0  # another process has ended, and reports why
    return 0.0 if os.environ.get("RANK", "0") == "0" else 10.0


def _describe_edited_inputs(error: Exception, reads: Sequence[str]) -> str | None:
    """Return a message if inputs of what failed were edited after a stage had made them; else None.

    The error is first, since an edited input may have nothing to do with it.
    """
    edited = find_edited_outputs(reads) if reads else find_edited_inputs(_get_stage_name())
    first = f"failed with {type(error).__name__}: {error}; the cause may be an edited input:"
    return str(join_errors([first, *edited])) if edited else None


def _make_user_message(error: Exception) -> str | None:
    """Return the message for the user, or None if the error is a bug in Alloy."""
    message = str(error) if isinstance(error, InputError) else None
    if line := explain_system_error(error, gpu=message is None):
        command = "the command" if _get_stage_name() == "alloy" else "`dvc repro`"
        return f"{line}; finished work is kept: run {command} again"
    return message or explain_path_error(error)
