"""Say whether the committed figures are those of the committed code, params and data; no data is needed to ask.

Reads   dvc.yaml, dvc.lock and what they name, as far as it is there
Run     alloy check lock
"""

import re
import subprocess
from pathlib import Path

from alloy.core.dvc_repair import PARSED_FILES
from alloy.core.files import InputError
from alloy.core.yaml_fix import require_resolved
from alloy.sweep.dvc_experiments import WORKSPACE, find_stale_stages, read_lock

COMMAND = ["dvc", "repro", "--dry", "--allow-missing"]
MEND = "run `dvc repro`, then commit dvc.lock and metrics/"
WOULD_RUN = re.compile(r"^Running stage '(.+)'", re.MULTILINE)
# A stage that is out of date and whose data this machine has not.
CANNOT_RUN = re.compile(r"^ERROR: failed to reproduce '(.+)': \[Errno 2\]", re.MULTILINE)


def judge(status: int, said: str) -> None:
    """Raise `InputError` unless `COMMAND`, which ended with `status` and `said` so, finds nothing to run."""
    if stages := WOULD_RUN.findall(said) + CANNOT_RUN.findall(said):
        names = ", ".join(f"'{stage}'" for stage in stages)
        raise InputError(f"dvc.lock: not up to date from {names} on; {MEND}")
    if status:
        raise InputError(said.strip().removeprefix("ERROR: "))


def main() -> None:
    """Ask DVC, judge."""
    require_resolved(map(Path, ("dvc.lock", *PARSED_FILES)))
    asked = subprocess.run(COMMAND, text=True, capture_output=True, check=False)
    judge(asked.returncode, asked.stdout + asked.stderr)
    # Without the data, DVC does not compare a folder that a stage reads with the outputs of other stages in it.
    if stages := find_stale_stages(read_lock(WORKSPACE)):
        names = ", ".join(f"'{stage}'" for stage in stages)
        raise InputError(f"dvc.lock: {names} ran on other inputs than the ones recorded now; {MEND}")
    print("lock: up to date")
