"""The clone in which an experiment runs, .dvc/tmp/evidence/<experiment>, so that work in the project can continue.

The clone has one commit checked out, the raw files of the data sets, and the settings of the current run. It shares the
project's DVC cache, so existing results are not computed again.
"""

import shutil
import subprocess
from pathlib import Path

import yaml

from alloy.core.dvc import list_watched_sections
from alloy.core.files import InputError, Row, write_atomically
from alloy.core.git import run_git
from alloy.core.settings import PARAMS
from alloy.core.yaml_text import load_yaml
from alloy.evidence.experiment import PlannedRun
from alloy.evidence.raw_files import OLD_IGNORE_FILE, RAW, find_raw_folder, list_raw_data_sets, list_raw_files
from alloy.sweep.grid import INPUTS

CLONE_FOLDER = Path(".dvc/tmp/evidence")


def choose_commit(records: dict[str, Row], requested: str, folder: Path) -> str:
    """Return the commit from which all runs are made: `requested`, else the commit of the records, else HEAD.

    Raise `InputError` if a record has another commit. HEAD is used only if code, params and data have no changes.
    """
    commits = sorted({record["commit"] for record in records.values()})
    requested_commit = run_git("rev-parse", "--verify", f"{requested}^{{commit}}").strip() if requested else ""
    if len(commits) > 1 or (requested_commit and commits and commits != [requested_commit]):
        raise InputError(
            f"{folder}: expected records of one commit{f', {requested_commit[:12]}' if requested_commit else ''}, got "
            f"{', '.join(commit[:12] for commit in commits)}; runs of different commits cannot be compared, so keep "
            "the records of one commit, and remove the rest"
        )
    if commits:
        return commits[0]
    if requested_commit:
        return requested_commit
    if changed := run_git("diff", "--name-only", "HEAD", "--", *INPUTS).split():
        raise InputError(
            f"{changed[0]}: has uncommitted changes, but runs are made from a commit; commit them, or set --commit"
        )
    return run_git("rev-parse", "HEAD").strip()


def prepare_clone(folder: Path, commit: str) -> None:
    """Make `folder` a clone of this project at `commit` with the same DVC cache; an existing clone is used again."""
    if not (folder / ".git").is_dir():
        shutil.rmtree(folder, ignore_errors=True)
        run_git("clone", "--quiet", "--no-checkout", ".", str(folder))
    try:
        run_git("cat-file", "-e", f"{commit}^{{commit}}")
    except InputError:
        raise InputError(
            f"commit {commit[:12]} of the records is not in this repository; `git fetch` the branch that has it"
        ) from None
    run_git("-C", str(folder), "fetch", "--quiet", "--force", str(Path.cwd()), commit)
    run_git("-C", str(folder), "checkout", "--quiet", "--force", "--detach", commit)
    cache = run_dvc(Path(), "cache", "dir")
    run_dvc(folder, "config", "--local", "cache.dir", str(Path(cache).absolute()))


def run_dvc(folder: Path, *arguments: str) -> str:
    """Run a DVC command in `folder` and return its output."""
    result = subprocess.run(["dvc", *arguments], cwd=folder, text=True, capture_output=True, check=False)
    if result.returncode:
        raise InputError(f"dvc {arguments[0]}: {(result.stderr.strip() or 'failed').splitlines()[-1]}")
    return result.stdout.strip()


def copy_raw_files(folder: Path, data: list[str]) -> None:
    """Copy the raw files of the data sets, which git ignores, to the clone in `folder`."""
    for data_set in list_raw_data_sets(data, Path()):
        raw = find_raw_folder(data_set)
        originals = {path.relative_to(raw): path for path in list_raw_files(raw)}
        copies = {path.relative_to(folder / data_set / RAW): path for path in list_raw_files(folder / data_set / RAW)}
        for name in copies.keys() - originals.keys():
            copies[name].unlink()
        for name, path in originals.items():
            copy = folder / data_set / RAW / name
            if not copy.is_file() or not _is_same_file(path, copy):
                copy.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(copy, lambda part, path=path: shutil.copy2(path, part))
        (folder / data_set / OLD_IGNORE_FILE).unlink(missing_ok=True)


def _is_same_file(original: Path, copy: Path) -> bool:
    first, second = original.stat(), copy.stat()
    return (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)


def write_settings(folder: Path, run: PlannedRun, commit: str) -> None:
    """Write params.yaml and the profile of a run to the clone: as in its commit, with the run's settings."""
    for path, values in make_settings_files(folder, run, commit).items():
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        write_atomically(folder / path, lambda file, text=text: file.write_text(text, encoding="utf-8"))


def make_settings_files(folder: Path, run: PlannedRun, commit: str) -> dict[str, Row]:
    """Return the contents of params.yaml and of the profile of a run, by path.

    A key is set in the profile if its section is there, else in params.yaml. Raise `InputError` if no stage in dvc.yaml
    depends on its section.
    """
    params = read_committed(folder, commit, str(PARAMS))
    profile = f"profiles/{run.settings.get('profile', params.get('profile', 'demo'))}.yaml"
    profile_values = read_committed(folder, commit, profile)
    param_sections, profile_sections = list_watched_sections(folder)
    for key, value in run.settings.items():
        section, *parts = key.split(".")
        values = profile_values if section in profile_sections else params
        if section not in param_sections | profile_sections:
            known = ", ".join(sorted(param_sections | profile_sections))
            raise InputError(f"{run.configuration}: {key}: unknown section; expected one of {known}")
        if not parts:
            values[section] = value
            continue
        for part in (section, *parts[:-1]):
            if not isinstance(values.get(part), dict):
                values[part] = {}
            values = values[part]
        values[parts[-1]] = value
    params["seed"] = run.seed
    params["gate"] = {}  # a gate that fails would fail the run
    return {str(PARAMS): params, profile: profile_values}


def read_committed(folder: Path, commit: str, path: str) -> Row:
    """Return the YAML values of a file in a commit."""
    return load_yaml(run_git("-C", str(folder), "show", f"{commit}:{path}"), f"{commit[:12]}:{path}") or {}


def list_data_sets(runs: list[PlannedRun], commit: str) -> list[str]:
    """Return the names of the folders below data/ that `runs` read, without duplicates."""
    files = [make_settings_files(Path(), run, commit)[str(PARAMS)] for run in runs]
    return list(dict.fromkeys(name for params in files for name in params.get("data", {}).values()))
