"""Run every stage of the last commit in a clone, with the profile `smoke` and the demo's data.

Run     alloy smoke

The results and data of this folder are not changed. The weights of `mix.sources` are removed, since they name other
data. The gate has no limits, because the metrics of such a small model mean nothing.
"""

import shutil
import subprocess
from pathlib import Path

import yaml

from alloy.core.files import InputError, Row
from alloy.core.git import run_git
from alloy.core.settings import PARAMS, Data
from alloy.core.yaml_text import read_yaml

MARK = Path(".git/alloy-smoke")  # marks a clone that this command made, and may remove


def make_smallest_params(params: Row) -> Row:
    """Return the params of the experiment with the smallest profile and the demo's data."""
    mix = {**params.get("mix", {}), "sources": {}, "budget": "keep_customer", "total": None}
    return {**params, "profile": "smoke", "data": Data().model_dump(), "mix": mix, "gate": {}}


def main(folder: Path) -> None:
    """Clone the last commit, write the params, run all stages."""
    if folder.exists() and not (folder / MARK).is_file():
        raise InputError(
            f"--folder: {folder} exists and was not made by `alloy smoke`; choose a folder that does not exist"
        )
    shutil.rmtree(folder, ignore_errors=True)
    run_git("clone", "--quiet", ".", str(folder))
    (folder / MARK).touch()
    file = folder / PARAMS
    file.write_text(yaml.safe_dump(make_smallest_params(read_yaml(file)), sort_keys=False))
    if subprocess.run(["dvc", "exp", "run"], cwd=folder, check=False).returncode:
        raise InputError(f"{folder}: `dvc exp run` failed, see above")
