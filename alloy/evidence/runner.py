"""Execute the missing runs of an experiment; write a record after each run, and the page when all are finished.

Reads   docs/evidence/<name>.yaml: the experiment; docs/evidence/partial/<name>/: records of finished runs
Writes  docs/evidence/partial/<name>/<run>.json after each run; docs/evidence/<name>.json, .svg and .md at the end
Run     alloy evidence mams, alloy evidence mams --only "mix.ratio 0" --seeds 0 --out metrics/real

Runs are executed one after another, at low priority, in a clone of one commit (alloy/evidence/clone.py). After an
interruption, the same command continues; on another machine, it continues from the records in docs/evidence/partial.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from alloy.comparison.charts import render_svg
from alloy.core.dvc_repair import repair_dvc
from alloy.core.files import InputError, Row, write_atomically, write_json
from alloy.core.git import run_git
from alloy.evidence.clone import (
    CLONE_FOLDER,
    choose_commit,
    copy_raw_files,
    list_data_sets,
    prepare_clone,
    run_dvc,
    write_settings,
)
from alloy.evidence.experiment import FOLDER, Experiment, PlannedRun, read_experiment
from alloy.evidence.external_run import check_run
from alloy.evidence.page import make_plot, render_metric_table, render_page
from alloy.evidence.progress import Progress, estimate_stage_seconds
from alloy.evidence.raw_files import describe_missing_files, list_raw_data_sets
from alloy.evidence.record import collect_record, read_records, select_finished, write_record
from alloy.evidence.reuse import find_equal_records
from alloy.evidence.summary import summarize
from alloy.scoring.settings import Score
from alloy.sweep.runner import find_shared_stages, hold_lock
from alloy.sweep.terminal import run_and_log

NICE = 10
LAST_STAGE = "compare"  # the last stage that a record needs


def execute_runs(
    name: str, pending: list[PlannedRun], partial: Path, commit: str, declared_seconds: dict[str, float]
) -> list[str]:
    """Execute the runs and write their records; return one line per failed run."""
    clone, logs = CLONE_FOLDER / name, CLONE_FOLDER / f"{name}.logs"
    failed = []
    with hold_lock(logs) as lock:
        prepare_clone(clone, commit)
        print("".join(f"{line}\n" for line in repair_dvc(clone)), end="", flush=True)
        copy_raw_files(clone, list_data_sets(pending, commit))
        write_settings(clone, pending[0], commit)
        shared = set(find_shared_stages(run_dvc(clone, "dag", "--dot", "dvc.yaml")))
        records = [*read_records(partial).values(), *read_records(FOLDER / "partial" / name).values()]
        progress = Progress(len(pending), estimate_stage_seconds(declared_seconds, records), shared)
        for run in pending:
            write_settings(clone, run, commit)
            progress.start_run()
            print(f"evidence: {run.name}, commit {commit[:12]}", flush=True)
            log = logs / f"{run.name}.log"
            if run_and_log(["dvc", "repro", LAST_STAGE], log, lock, clone, progress.read_line):
                failed.append(f"{run.name} failed: {log}; run the same command to try it again")
                if progress.stage in shared:
                    break
                continue
            progress.end_stage()
            record = collect_record(clone, run, commit, progress.seconds, get_current_date())
            write_record(partial / f"{run.name}.json", record)
            print(f"evidence: wrote {partial / run.name}.json", flush=True)
    return failed


def use_equal_records(pending: list[PlannedRun], commit: str, partial: Path) -> list[PlannedRun]:
    """Write records of runs that another experiment has finished; return the runs that are still missing."""
    found = find_equal_records(pending, commit, partial)
    for name, record in found.items():
        write_record(partial / f"{name}.json", record)
        print(f"evidence: {name} was run as {record['same_as']}; wrote {partial / name}.json", flush=True)
    return [run for run in pending if run.name not in found]


def write_results(name: str, experiment: Experiment, records: dict[str, Row], out: Path, score: Score) -> None:
    """Write JSON, plot and page; print the table of metrics."""
    summary = summarize(name, experiment, records, score)
    write_json(out / f"{name}.json", summary)
    plot_svg = render_svg(make_plot(experiment, records, score), height=4.4, name=name)
    for path, text in ((out / f"{name}.svg", plot_svg), (out / f"{name}.md", render_page(summary))):
        write_atomically(path, lambda file, text=text: file.write_text(text, encoding="utf-8"))
    print(
        "\n".join([*render_metric_table(summary), "", *summary["notes"], "", f"evidence: {out / name}.md, .json, .svg"])
    )


def record_external_run(folder: Path, runs: list[PlannedRun], partial: Path, commit: str) -> None:
    """Write the record of a finished run in another project folder; `runs` must be only this run."""
    if len(runs) != 1 or not commit:
        raise InputError("--take: expected exactly one run and its commit; give --only, --seeds and --commit")
    (run,) = runs
    check_run(folder, run)
    record = collect_record(
        folder, run, run_git("rev-parse", "--verify", f"{commit}^{{commit}}").strip(), {}, get_current_date()
    )
    write_record(partial / f"{run.name}.json", record)
    print(f"evidence: wrote {partial / run.name}.json; if it was run on another machine, correct `machine` there")


def get_current_date() -> str:
    """Return the current date (UTC) in the form of records, such as 2026-01-31."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def main(
    name: str, only: str = "", seeds: str = "", out: str = "", commit: str = "", show: bool = False, taken: str = ""
) -> None:
    """Execute the missing runs, and write the results when all are finished. With `show`, use only the finished runs.

    If `taken` is given, do not run anything: write a record of the finished run in this project folder.
    """
    experiment = read_experiment(name)
    score = Score.load()
    folder = Path(out) if out else FOLDER
    partial = folder / "partial" / name
    runs = experiment.select_runs(only, seeds)
    finished = select_finished(experiment.list_runs(), read_records(partial), partial)
    pending = [run for run in runs if run.name not in finished]
    if taken:
        record_external_run(Path(taken), runs, partial, commit)
        return
    failed: list[str] = []
    print(f"evidence: {len(runs) - len(pending)} of {len(runs)} runs are finished", flush=True)
    if pending and not show:
        run_commit = choose_commit(finished, commit, partial)
        pending = use_equal_records(pending, run_commit, partial)
        data = list_data_sets(pending, run_commit)
        if missing := describe_missing_files(list_raw_data_sets(data, Path()), Path()):
            raise InputError(f"missing raw files: {missing}")
        try:
            if pending:
                os.nice(NICE)
                failed = execute_runs(name, pending, partial, run_commit, experiment.seconds)
        except KeyboardInterrupt:
            print("\nevidence: stopped; run the same command to continue", file=sys.stderr)
            raise
    finished = select_finished(experiment.list_runs(), read_records(partial), partial)
    needed_runs = experiment.list_runs() if folder == FOLDER else runs
    missing_runs = [run.name for run in needed_runs if run.name not in finished]
    if finished and (show or not missing_runs):
        write_results(
            name, experiment if folder == FOLDER else restrict_experiment(experiment, runs), finished, folder, score
        )
    elif not failed:
        print(f"evidence: the page will be written when these runs are also finished: {', '.join(missing_runs)}")
    if failed:
        raise InputError("\n".join(failed))


def restrict_experiment(experiment: Experiment, runs: list[PlannedRun]) -> Experiment:
    """Return the experiment with only the configurations and seeds of `runs`."""
    labels, seeds = {run.configuration for run in runs}, {run.seed for run in runs}
    configurations = {label: settings for label, settings in experiment.configurations.items() if label in labels}
    return experiment.model_copy(
        update={"configurations": configurations, "seeds": [seed for seed in experiment.seeds if seed in seeds]}
    )
