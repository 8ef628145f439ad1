"""A command whose output is seen and kept."""

import os
import pty
import subprocess
import sys
import termios
from pathlib import Path


def tee(command: list[str], log: Path, keep: int) -> int:
    """Run a command, show what it prints, keep that in `log`, and return its exit status; it inherits the file `keep`.

    On a terminal the command is given one of the same size, so that it shows its bars. Ctrl-C reaches it and this
    process alike: what it says at its end is waited for, then `KeyboardInterrupt` goes on.
    """
    seen = sys.stdout.isatty()
    reads, writes = pty.openpty() if seen else os.pipe()
    if seen:
        termios.tcsetwinsize(writes, termios.tcgetwinsize(sys.stdout.fileno()))
    stopped: KeyboardInterrupt | None = None
    with log.open("wb") as file:
        child = subprocess.Popen(command, stdout=writes, stderr=writes, pass_fds=[keep])
        os.close(writes)
        while True:
            try:
                block = os.read(reads, 2**16)
                if not block:
                    break
                file.write(block)
                file.flush()
                sys.stdout.buffer.write(block)
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
