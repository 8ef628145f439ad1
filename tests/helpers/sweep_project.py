"""A small project for sweeps. Its runs take a second: its stages write metrics that depend on mix ratio and seed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("score", "mmlu", "ifeval", "general", "chat")
LOSS = ["metrics/general_loss.json", "metrics/general_loss.jsonl"]
COMPARED = ("metrics/compare.json", "metrics/answers/base.jsonl", "metrics/answers/tuned.jsonl")
SPLIT = ("train.jsonl", "test.jsonl", "taxonomy.json", "task.json")
# F1 falls and general accuracy rises with the ratio, and both differ by seed. The base model has an accuracy of 0.80.
# All runs of ratio 0.4 fail, and the run of ratio 0.25 with seed 2.
WORK = """
import sys
import yaml
from example_metrics import TASK, TAXONOMY, make_metrics, make_svm_metrics, write_loss, write_metrics
from alloy.core.files import write_json, write_jsonl

params = yaml.safe_load(open("params.yaml"))
ratio, seed = params["mix"]["ratio"], params["seed"]
seed_effect = (0, 2, -1)[seed % 3]
if sys.argv[1] == "base":
    write_metrics({"base": make_metrics(), "svm": make_svm_metrics()})
    write_json("metrics/base.json", {"base": {"tokens": 1000, "tokens_per_second": 10, "core_hours": 0.25}})
    write_json("metrics/svm.json", {"svm": {"svm": {"train_seconds": 7.0, "comments_per_second": 800.0}}})
    write_json("metrics/infer/base.json", {"base": {"infer": {"comments_per_second": 12.5}}})
    write_json("data/split/taxonomy.json", TAXONOMY.to_rows())
    write_json("data/split/task.json", TASK)
    for part in ("train", "test"):
        write_jsonl(f"data/split/{part}.jsonl", [{"id": str(number)} for number in range(100)])
if sys.argv[1] == "mix":
    rows = round(100 / (1 - ratio))
    source = {"customer": {"rows": 100}}
    write_json("metrics/mix.json", {"mix": {"achieved": ratio, "unit": "examples", "rows": rows, "source": source}})
    write_jsonl("data/mix/train.jsonl", [{"id": str(number)} for number in range(rows)])
if sys.argv[1] == "train":
    if ratio == 0.4 or (ratio, seed) == (0.25, 2):
        sys.exit("train: the loss became nan")
    right = {"f1": round(60 - 40 * ratio) + seed_effect, "acc": round(40 + 120 * ratio) + seed_effect}
    tuned = make_metrics(**right, loss=3 - ratio, kl=1 - ratio)
    write_metrics({"tuned": tuned})
    write_loss(make_metrics(), tuned)
    rows = sum(1 for _ in open("data/mix/train.jsonl"))
    report = {"examples": rows, "dropped": 0, "steps": rows, "tokens": 1000, "tokens_per_second": 20}
    report |= {"source": {"customer": {"examples": 100}}, "general_share": {"examples": ratio}}
    write_json("metrics/train.json", {"train": report})
    write_json("metrics/infer/tuned.json", {"tuned": {"infer": {"comments_per_second": 50.0}}})
"""


# params.yaml may have only sections that a stage depends on.
SETTINGS = """    params:
      - split
      - general_rows
      - decontaminate
      - rehearse
      - interpolate
      - prompt
      - svm
      - score
      - 'profiles/${profile}.yaml': [model, infer, harness, mmlu, ifeval, general, chat, general_loss]
"""


def _list_files(kind: str, files: list[str]) -> str:
    end = ": {cache: false}" if kind == "metrics" else ""
    return f"    {kind}:\n" + "".join(f"      - {file}{end}\n" for file in files)


def _list_metrics(model: str, parts: tuple[str, ...] = PARTS) -> list[str]:
    return [f"metrics/{part}/{model}.{end}" for part in parts for end in ("json", "jsonl")]


def make_dvc_yaml() -> str:
    """Return a pipeline with the stage names and outputs of the real pipeline."""
    shared = [*_list_metrics("base"), *_list_metrics("svm", ("score",)), *(f"data/split/{name}" for name in SPLIT)]
    spent = ["metrics/base.json", "metrics/svm.json", "metrics/infer/base.json"]
    trained = ["metrics/train.json", "metrics/infer/tuned.json"]
    work = "    cmd: python work.py {0}\n"
    return "".join(
        (
            "stages:\n  base:\n",
            work.format("base"),
            _list_files("deps", ["work.py"]),
            SETTINGS,
            _list_files("outs", shared),
            _list_files("metrics", spent),
            "  mix:\n",
            work.format("mix"),
            _list_files("deps", ["data/split/train.jsonl"]),
            "    params: [mix, seed]\n",
            _list_files("outs", ["data/mix/train.jsonl"]),
            _list_files("metrics", ["metrics/mix.json"]),
            "  train:\n",
            work.format("train"),
            _list_files("deps", ["data/mix/train.jsonl", "work.py"]),
            "    params: [mix.ratio, seed, {'profiles/${profile}.yaml': [train]}]\n",
            _list_files("outs", [*_list_metrics("tuned"), *LOSS]),
            _list_files("metrics", trained),
            "  compare:\n    cmd: python -m stages.compare\n",
            _list_files("deps", [*shared, *spent, *_list_metrics("tuned"), *LOSS, *trained, "metrics/mix.json"]),
            "    params: [gate]\n",
            _list_files(
                "outs",
                [
                    "metrics/compare.json",
                    "metrics/tradeoff.csv",
                    *(f"metrics/answers/{m}.jsonl" for m in ("base", "tuned")),
                ],
            ),
            _list_files("metrics", ["metrics/summary.json"]),
        )
    )


def run_command(folder: Path, *command: str, status: int = 0) -> str:
    """Run a command in `folder`; return its output. It must exit with `status`."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    env["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ROOT / 'tests/helpers'}"
    result = subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True, check=False, timeout=300)
    assert result.returncode == status, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr


def write_project(folder: Path) -> Path:
    """Make `folder` a repository with the small project, committed but not yet run."""
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "profiles").mkdir()
    shutil.copy(ROOT / "profiles/demo.yaml", folder / "profiles")
    (folder / "dvc.yaml").write_text(make_dvc_yaml())
    (folder / "work.py").write_text(WORK)
    (folder / ".gitignore").write_text("/metrics/frontier/\n__pycache__/\n")
    for command in (
        ["git", "init", "-q", "-b", "main"],
        ["git", "config", "user.email", "test@example.org"],
        ["git", "config", "user.name", "Test"],
        ["dvc", "init", "-q"],
        ["dvc", "config", "core.analytics", "false"],
        ["git", "add", "-A"],
        ["git", "commit", "-qm", "start"],
    ):
        run_command(folder, *command)
    return folder
