"""A command whose output is seen and kept."""

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

Watch = Callable[[str], str | None]


def tee(command: list[str], log: Path, keep: int, folder: Path | None = None, watch: Watch | None = None) -> int:
    """Run a command, show what it prints, keep that in `log`, and return its exit status; it inherits the file `keep`.

    It runs in `folder`. `watch` is given each line that is complete; what it returns is shown below the line.

    On a terminal the command is given one of the same size, so that it shows its bars. Ctrl-C reaches it and this
    process alike: what it says at its end is waited for, then `KeyboardInterrupt` goes on.
    """
    seen = sys.stdout.isatty()
    reads, writes = pty.openpty() if seen else os.pipe()
    if seen:
        termios.tcsetwinsize(writes, termios.tcgetwinsize(sys.stdout.fileno()))
    stopped: KeyboardInterrupt | None = None
    with log.open("wb") as file:
        child = subprocess.Popen(command, cwd=folder, stdout=writes, stderr=writes, pass_fds=[keep])
        os.close(writes)
        begun = b""  # a line that is not complete yet
        while True:
            try:
                block = os.read(reads, 2**16)
                if not block:
                    break
                file.write(block)
                file.flush()
                *lines, begun = (begun + block).split(b"\n")
                said = [text for line in lines if watch and (text := watch(line.decode(errors="replace")))]
                sys.stdout.buffer.write(block + "".join(f"{text}\n" for text in said).encode())
                sys.stdout.flush()
            except KeyboardInterrupt as interrupt:
                stopped = interrupt
            except OSError:  # how Linux says that no one holds the other end of a terminal
                break
        os.close(reads)
        child.wait()
    if stopped:
        raise stopped
    return child.returncode
