"""Use records of other experiments: a run with the same commit, settings and seed is not executed twice."""

from pathlib import Path

from alloy.core.files import Row
from alloy.evidence.clone import make_settings_files
from alloy.evidence.experiment import PlannedRun
from alloy.evidence.record import read_records


def find_equal_records(runs: list[PlannedRun], commit: str, partial: Path, project: Path = Path()) -> dict[str, Row]:
    """Return records for those of `runs` that another experiment has finished, by the name of the run.

    `partial` is the folder of this experiment's records; those of other experiments are in the folders beside it.
    Settings are equal if they make the same params.yaml and profile, so a value of these files may be repeated.
    A record has the names of `runs`, and `same_as`: the experiment and the run that it was made by.
    """
    wanted = {run.name: make_settings_files(project, run, commit) for run in runs}
    found: dict[str, Row] = {}
    for folder in sorted(path for path in partial.parent.glob("*") if path.is_dir() and path != partial):
        for name, record in read_records(folder).items():
            if record["commit"] != commit:
                continue
            executed = PlannedRun(record["configuration"], record["seed"], record["settings"])
            files = make_settings_files(project, executed, commit)
            for run in runs:
                if run.name not in found and wanted[run.name] == files:
                    renamed = {"run": run.name, "configuration": run.configuration, "settings": run.settings}
                    found[run.name] = {**record, **renamed, "same_as": f"{folder.name}/{name}"}
    return found
