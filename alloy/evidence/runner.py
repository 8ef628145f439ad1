"""Run what is missing of an experiment, keep each run at once, and write the page when all are there.

Reads   docs/evidence/<name>.yaml: the experiment; docs/evidence/partial/<name>/: runs that are finished
Writes  docs/evidence/partial/<name>/<run>.json after each run; docs/evidence/<name>.json, .svg and .md at the end
Run     alloy evidence mams, alloy evidence mams --only "mix.ratio 0" --seeds 0 --out metrics/real

Runs are made one after another, niced, in a clone of one commit (alloy/evidence/workplace.py). After a kill the same
command goes on where it was; on another machine it goes on from the records in docs/evidence/partial.
"""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from alloy.comparison.charts import svg
from alloy.core.dvc_repair import repair_dvc
from alloy.core.files import InputError, Row, write_json, write_whole
from alloy.core.git import run_git
from alloy.evidence.experiment import FOLDER, Experiment, Point, read_experiment
from alloy.evidence.page import metric_table, page, plot
from alloy.evidence.progress import Progress, expected_seconds
from alloy.evidence.raw_files import folders_of, missing_files
from alloy.evidence.record import collect, finished, read_records, write_record
from alloy.evidence.summary import summarize
from alloy.evidence.take import check_run
from alloy.evidence.workplace import HOME, commit_of, copy_raw_files, data_of, dvc, prepare, write_settings
from alloy.scoring.settings import Score
from alloy.sweep.runner import alone, shared_stages
from alloy.sweep.terminal import tee

NICE = 10
LAST = "compare"  # the stage that has all metrics


def run_points(name: str, todo: list[Point], partial: Path, commit: str, declared: dict[str, float]) -> list[str]:
    """Make the runs and write their records; return a line for each that failed."""
    clone, logs = HOME / name, HOME / f"{name}.logs"
    failed = []
    with alone(logs) as lock:
        prepare(clone, commit)
        print("".join(f"{line}\n" for line in repair_dvc(clone)), end="", flush=True)
        copy_raw_files(clone, data_of(todo, commit))
        write_settings(clone, todo[0], commit)
        shared = set(shared_stages(dvc(clone, "dag", "--dot", "dvc.yaml")))
        known = [*read_records(partial).values(), *read_records(FOLDER / "partial" / name).values()]
        progress = Progress(len(todo), expected_seconds(declared, known), shared)
        for point in todo:
            write_settings(clone, point, commit)
            progress.start()
            print(f"evidence: {point.name}, commit {commit[:12]}", flush=True)
            log = logs / f"{point.name}.log"
            if tee(["dvc", "repro", LAST], log, lock, clone, progress.see):
                failed.append(f"{point.name} failed: {log}; the same command tries it again")
                if progress.stage in shared:
                    break
                continue
            progress.end_stage()
            record = collect(clone, point, commit, progress.seconds, today())
            write_record(partial / f"{point.name}.json", record)
            print(f"evidence: wrote {partial / point.name}.json", flush=True)
    return failed


def write_results(name: str, experiment: Experiment, records: dict[str, Row], out: Path, score: Score) -> None:
    """Write JSON, plot and page, and print the table."""
    found = summarize(name, experiment, records, score)
    write_json(out / f"{name}.json", found)
    drawn = svg(plot(experiment, records, score), height=4.4, name=name)
    for path, text in ((out / f"{name}.svg", drawn), (out / f"{name}.md", page(found))):
        write_whole(path, lambda part, text=text: part.write_text(text, encoding="utf-8"))
    print("\n".join([*metric_table(found), "", *found["notes"], "", f"evidence: {out / name}.md, .json, .svg"]))


def take(folder: Path, points: list[Point], partial: Path, commit: str) -> None:
    """Write the record of a run that was made in another project folder; `points` must be that run alone."""
    if len(points) != 1 or not commit:
        raise InputError("--take: name the run by --only and --seeds, and its commit by --commit")
    (point,) = points
    check_run(folder, point)
    record = collect(folder, point, run_git("rev-parse", "--verify", f"{commit}^{{commit}}").strip(), {}, today())
    write_record(partial / f"{point.name}.json", record)
    print(f"evidence: wrote {partial / point.name}.json, on this machine's name: correct `machine` if it was another")


def today() -> str:
    """Return the date as a record has it."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def main(
    name: str, only: str = "", seeds: str = "", out: str = "", commit: str = "", show: bool = False, taken: str = ""
) -> None:
    """Check, run what is missing, write the results if nothing is missing any more, or with `show` what there is.

    `taken` is the folder of a project with one finished run, which becomes a record instead.
    """
    experiment = read_experiment(name)
    score = Score.load()
    folder = Path(out) if out else FOLDER
    partial = folder / "partial" / name
    points = experiment.chosen(only, seeds)
    done = finished(experiment.points(), read_records(partial), partial)
    todo = [point for point in points if point.name not in done]
    if taken:
        take(Path(taken), points, partial, commit)
        return
    failed: list[str] = []
    print(f"evidence: {len(points) - len(todo)} of {len(points)} runs are there", flush=True)
    if todo and not show:
        start = commit_of(done, commit, partial)
        data = data_of(todo, start)
        if missing := missing_files(folders_of(data, Path()), Path()):
            raise InputError(f"missing raw files: {missing}")
        os.nice(NICE)
        try:
            failed = run_points(name, todo, partial, start, experiment.seconds)
        except KeyboardInterrupt:
            print("\nevidence: stopped; the same command goes on where it was", file=sys.stderr)
            raise
        done = finished(experiment.points(), read_records(partial), partial)
    whole = experiment.points() if folder == FOLDER else points
    missing_runs = [point.name for point in whole if point.name not in done]
    if done and (show or not missing_runs):
        write_results(name, experiment if folder == FOLDER else part(experiment, points), done, folder, score)
    elif not failed:
        print(f"evidence: the page is written when these are there too: {', '.join(missing_runs)}")
    if failed:
        raise InputError("\n".join(failed))


def part(experiment: Experiment, points: list[Point]) -> Experiment:
    """Return the experiment with the configurations and seeds of some of its runs alone."""
    labels, seeds = {point.configuration for point in points}, {point.seed for point in points}
    kept = {label: own for label, own in experiment.configurations.items() if label in labels}
    return experiment.model_copy(
        update={"configurations": kept, "seeds": [seed for seed in experiment.seeds if seed in seeds]}
    )
