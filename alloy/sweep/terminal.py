"""Run a command, show its output on the terminal and write it to a log."""

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

LineWatcher = Callable[[str], str | None]


def run_and_log(
    command: list[str], log: Path, lock_file: int, folder: Path | None = None, watch: LineWatcher | None = None
) -> int:
    """Run a command in `folder`, show its output, write it to `log`, and return its exit status.

    The command inherits the file descriptor `lock_file`. `watch` is called with each complete line; the text that it
    returns is shown after the line.

    If stdout is a terminal, the command gets a pseudo-terminal of the same size, so that it shows progress bars. Ctrl-C
    reaches both the command and this process: we read the command's output to its end, then raise `KeyboardInterrupt`.
    """
    on_terminal = sys.stdout.isatty()
    read_end, write_end = pty.openpty() if on_terminal else os.pipe()
    if on_terminal:
        termios.tcsetwinsize(write_end, termios.tcgetwinsize(sys.stdout.fileno()))
    interrupted: KeyboardInterrupt | None = None
    with log.open("wb") as file:
        child = subprocess.Popen(command, cwd=folder, stdout=write_end, stderr=write_end, pass_fds=[lock_file])
        os.close(write_end)
        incomplete_line = b""  # bytes after the last line feed
        while True:
            try:
                block = os.read(read_end, 2**16)
                if not block:
                    break
                file.write(block)
                file.flush()
                *lines, incomplete_line = (incomplete_line + block).split(b"\n")
                notes = [text for line in lines if watch and (text := watch(line.decode(errors="replace")))]
                sys.stdout.buffer.write(block + "".join(f"{text}\n" for text in notes).encode())
                sys.stdout.flush()
            except KeyboardInterrupt as interrupt:
                interrupted = interrupt
            except OSError:  # on Linux: the other end of the pseudo-terminal was closed
                break
        os.close(read_end)
        child.wait()
    if interrupted:
        raise interrupted
    return child.returncode
