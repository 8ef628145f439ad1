"""The clone in which an experiment runs, so that work in the project can go on: .dvc/tmp/evidence/<experiment>.

It holds one commit, the raw files of the data, and the settings of the run in hand. It uses the project's DVC cache,
so what was computed once is not computed again.
"""

import shutil
import subprocess
from pathlib import Path

import yaml

from alloy.core.dvc import watched_sections
from alloy.core.files import InputError, Row, write_whole
from alloy.core.git import run_git
from alloy.core.settings import PARAMS
from alloy.core.yaml_text import load_yaml
from alloy.evidence.experiment import Point
from alloy.evidence.raw_files import HIDDEN_BY, RAW, folders_of, raw_files, raw_folder
from alloy.sweep.grid import INPUTS

HOME = Path(".dvc/tmp/evidence")


def commit_of(records: dict[str, Row], asked: str, folder: Path) -> str:
    """Return the commit that all runs are made from: the one asked for, else the records', else this one.

    All records must be of it. This commit is taken only if nothing that runs are made of differs from it.
    """
    commits = sorted({record["commit"] for record in records.values()})
    wanted = run_git("rev-parse", "--verify", f"{asked}^{{commit}}").strip() if asked else ""
    if len(commits) > 1 or (wanted and commits and commits != [wanted]):
        raise InputError(
            f"{folder}: the records are of commit {', '.join(commit[:12] for commit in commits)}"
            f"{f', not {wanted[:12]}' if wanted else ''}; runs of one commit can be compared: remove the others"
        )
    if commits:
        return commits[0]
    if wanted:
        return wanted
    if changed := run_git("diff", "--name-only", "HEAD", "--", *INPUTS).split():
        raise InputError(f"{changed[0]}: not committed; runs are made from a commit: commit it, or give --commit")
    return run_git("rev-parse", "HEAD").strip()


def prepare(folder: Path, commit: str) -> None:
    """Make `folder` a clone of this project at `commit` that uses its DVC cache; one that is there goes on."""
    if not (folder / ".git").is_dir():
        shutil.rmtree(folder, ignore_errors=True)
        run_git("clone", "--quiet", "--no-checkout", ".", str(folder))
    try:
        run_git("cat-file", "-e", f"{commit}^{{commit}}")
    except InputError:
        raise InputError(
            f"commit {commit[:12]} of the records is not in this repository; `git fetch` the branch with it"
        ) from None
    run_git("-C", str(folder), "fetch", "--quiet", "--force", str(Path.cwd()), commit)
    run_git("-C", str(folder), "checkout", "--quiet", "--force", "--detach", commit)
    cache = dvc(Path(), "cache", "dir")
    dvc(folder, "config", "--local", "cache.dir", str(Path(cache).absolute()))


def dvc(folder: Path, *words: str) -> str:
    """Return what a DVC command prints in `folder`."""
    done = subprocess.run(["dvc", *words], cwd=folder, text=True, capture_output=True, check=False)
    if done.returncode:
        raise InputError(f"dvc {words[0]}: {(done.stderr.strip() or 'failed').splitlines()[-1]}")
    return done.stdout.strip()


def copy_raw_files(folder: Path, data: list[str]) -> None:
    """Give the clone in `folder` the raw files of the data sets, which git ignores."""
    for own in folders_of(data, Path()):
        raw = raw_folder(own)
        wanted = {path.relative_to(raw): path for path in raw_files(raw)}
        there = {path.relative_to(folder / own / RAW): path for path in raw_files(folder / own / RAW)}
        for name in there.keys() - wanted.keys():
            there[name].unlink()
        for name, path in wanted.items():
            copy = folder / own / RAW / name
            if not copy.is_file() or not _same(path, copy):
                copy.parent.mkdir(parents=True, exist_ok=True)
                write_whole(copy, lambda part, path=path: shutil.copy2(path, part))
        (folder / own / HIDDEN_BY).unlink(missing_ok=True)


def _same(one: Path, other: Path) -> bool:
    first, second = one.stat(), other.stat()
    return (first.st_size, first.st_mtime_ns) == (second.st_size, second.st_mtime_ns)


def write_settings(folder: Path, point: Point, commit: str) -> None:
    """Write params.yaml and the profile of a run into the clone: those of its commit, with the run's settings."""
    for path, values in settings_files(folder, point, commit).items():
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        write_whole(folder / path, lambda part, text=text: part.write_text(text, encoding="utf-8"))


def settings_files(folder: Path, point: Point, commit: str) -> dict[str, Row]:
    """Return the contents of params.yaml and of the profile of a run, by path.

    A key is of the profile if its section is there, else of params.yaml; a section that no stage watches raises.
    """
    params = committed(folder, commit, str(PARAMS))
    profile = f"profiles/{point.settings.get('profile', params.get('profile', 'demo'))}.yaml"
    scale = committed(folder, commit, profile)
    sections, scales = watched_sections(folder)
    for key, value in point.settings.items():
        section, *words = key.split(".")
        values = scale if section in scales else params
        if section not in sections | scales:
            known = ", ".join(sorted(sections | scales))
            raise InputError(f"{point.configuration}: {key}: unknown section; known are {known}")
        if not words:
            values[section] = value
            continue
        for word in (section, *words[:-1]):
            if not isinstance(values.get(word), dict):
                values[word] = {}
            values = values[word]
        values[words[-1]] = value
    params["seed"] = point.seed
    params["gate"] = {}  # a gate that fails would lose the run
    return {str(PARAMS): params, profile: scale}


def committed(folder: Path, commit: str, path: str) -> Row:
    """Return the YAML values of a file as a commit has it."""
    return load_yaml(run_git("-C", str(folder), "show", f"{commit}:{path}"), f"{commit[:12]}:{path}") or {}


def data_of(points: list[Point], commit: str) -> list[str]:
    """Return the names under data/ that runs read."""
    files = [settings_files(Path(), point, commit)[str(PARAMS)] for point in points]
    return list(dict.fromkeys(name for params in files for name in params.get("data", {}).values()))
