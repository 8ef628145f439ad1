"""Check that the committed metrics come from the committed code, params and data. The data itself is not needed.

Reads   dvc.yaml, dvc.lock and the files that they name, if they exist
Run     alloy check lock
"""

import re
import subprocess

from alloy.core.files import InputError
from alloy.sweep.dvc_experiments import WORKSPACE, find_stale_stages, read_lock

COMMAND = ["dvc", "repro", "--dry", "--allow-missing"]
FIX = "run `dvc repro`, then commit dvc.lock and metrics/"
WOULD_RUN = re.compile(r"^Running stage '(.+)'", re.MULTILINE)
# A stage that is out of date and cannot run, because its data is not on this machine.
CANNOT_RUN = re.compile(r"^ERROR: failed to reproduce '(.+)': \[Errno 2\]", re.MULTILINE)


def require_up_to_date(status: int, output: str) -> None:
    """Raise `InputError` if the exit status and output of `COMMAND` show that a stage is out of date."""
    if stages := WOULD_RUN.findall(output) + CANNOT_RUN.findall(output):
        names = ", ".join(f"'{stage}'" for stage in stages)
        raise InputError(f"dvc.lock: out of date for {names}; {FIX}")
    if status:
        raise InputError(f"dvc.lock: cannot be checked: {output.strip().removeprefix('ERROR: ')}")


def main() -> None:
    """Ask DVC which stages it would run; fail if there are any."""
    done = subprocess.run(COMMAND, text=True, capture_output=True, check=False)
    require_up_to_date(done.returncode, done.stdout + done.stderr)
    # Without the data, DVC does not check folders that contain outputs of several stages.
    if stages := find_stale_stages(read_lock(WORKSPACE)):
        names = ", ".join(f"'{stage}'" for stage in stages)
        raise InputError(f"dvc.lock: the inputs of {names} are not the recorded outputs of earlier stages; {FIX}")
    print("lock: up to date")
