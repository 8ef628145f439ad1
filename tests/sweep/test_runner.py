"""A sweep as a user starts it, in a repository of its own: runs that fail, that are there already, that are stopped."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from alloy.comparison.seeds import ONE_SEED
from alloy.comparison.settings import Gate
from alloy.core.files import InputError
from alloy.sweep.dvc_experiments import experiments
from alloy.sweep.grid import Point, grid, numbers, overrides, point_of
from alloy.sweep.runner import alone, ignored, require_known, shared_stages
from sweeping import ROOT, run, write_project

pytestmark = pytest.mark.slow

SWEEP = ("python", "-m", "alloy", "sweep")


def share(value: float) -> bool:
    return 0 <= value <= 1


def test_a_list_has_each_number_once_in_its_order() -> None:
    assert numbers("RATIOS", "0.25, 0,0.25,1.0e-1", share, "a share") == [0.25, 0.0, 0.1]


@pytest.mark.parametrize("word", ["a quarter", "1.5", "-0.1", "nan", "25%"])
def test_what_does_not_fit_is_named(word: str) -> None:
    with pytest.raises(InputError, match=r"^RATIOS: '.+' where a share belongs; write numbers with commas"):
        numbers("RATIOS", f"0,{word}", share, "a share")


def test_the_name_of_a_run_has_its_ratio_rate_and_seed() -> None:
    assert Point(0.25, 0.003, 0).name == "ratio-0.25-lr-0.003-seed-0"
    assert Point(0.0, 1e-5, 12).name == "ratio-0-lr-1e-05-seed-12"


def test_a_run_lifts_the_gate_that_would_lose_its_figures() -> None:
    plain = ["-S", "mix.ratio=0.25", "-S", "profiles/demo.yaml:train.lr=1e-05", "-S", "seed=3"]
    assert overrides(Point(0.25, 1e-5, 3), Gate(), "demo") == plain
    held = Gate.model_validate({"mmlu": {"acc": 0.1, "unparsed": None}})
    assert overrides(Point(0.25, 1e-5, 3), held, "demo") == [*plain, "-S", "gate.mmlu.acc=null"]


def test_all_configurations_are_run_with_one_seed_before_the_next() -> None:
    points = [(point.seed, point.lr, point.ratio) for point in grid([0.0, 0.5], [1e-3], [4, 5])]
    assert points == [(4, 1e-3, 0.0), (4, 1e-3, 0.5), (5, 1e-3, 0.0), (5, 1e-3, 0.5)]


def test_shared_stages_are_those_before_the_mix_and_beside_it() -> None:
    dot = subprocess.run(
        [Path(sys.executable).with_name("dvc"), "dag", "--dot", "dvc.yaml"],
        cwd=ROOT, text=True, capture_output=True, check=True,
    ).stdout  # fmt: skip
    assert {"base", "split", "svm", "score@svm", "infer@base", "mmlu@base"} <= set(shared_stages(dot))
    changed = {"mix", "train", "interpolate", "compare", "report"}
    assert not changed & set(shared_stages(dot))
    assert not [name for name in shared_stages(dot) if name.endswith("@tuned")]


def test_files_of_raw_data_go_with_runs_since_git_ignores_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("mine/raw/.gitkeep", "mine/raw/a.csv", "mine/raw/more/b.csv", "yours/c.csv"):
        Path("data", file).parent.mkdir(parents=True, exist_ok=True)
        Path("data", file).touch()
    wanted = ["--copy-paths", "data/mine/raw/a.csv", "--copy-paths", "data/mine/raw/more/b.csv"]
    assert ignored(["data/mine", "data/mine", "data/yours"]) == wanted


def names(project: Path) -> list[str]:
    return sorted(run(project, "dvc", "exp", "list", "--name-only").split())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("sweep") / "project")


@pytest.fixture(scope="module")
def first(project: Path) -> str:
    """The run of ratio 0.4 fails."""
    said = run(project, *SWEEP, "--ratios", "0.4,0", "--mmlu-drop", "0.5", status=1)
    run(project, "git", "add", "-A")
    return said


def test_a_run_that_fails_does_not_lose_the_others_and_is_named_with_its_log(project: Path, first: str) -> None:
    assert "mix.ratio 0: VOC F1 0.600, the only configuration that loses 0.5 of MMLU or less" in first
    assert ONE_SEED in first
    last = first.splitlines()[-1]
    found = re.fullmatch(r"alloy: ratio-0\.4-lr-0\.003-seed-0 failed: (\S+); `make sweep` tries it again", last)
    assert found
    assert "train: the loss became nan" in (project / found[1]).read_text()
    assert names(project) == ["ratio-0-lr-0.003-seed-0"]


def test_what_all_runs_share_runs_once(first: str) -> None:
    assert first.count("Running stage 'base'") == 1


def test_the_workspace_keeps_its_params(project: Path, first: str) -> None:
    assert run(project, "git", "diff", "HEAD", "--", "params.yaml", "profiles") == ""


def test_a_run_of_other_settings_is_not_there_yet(project: Path, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    ((_, rev),) = experiments()[0]
    profile = "profiles/demo.yaml"
    assert point_of(rev, profile) == Point(0.0, 0.003, 0)
    params = Path("params.yaml")
    before = params.read_text()
    for one, other, there in (
        ("unit: examples", "unit: tokens", False),
        ("acc: null", "acc: 0.1", True),
        ("\nseed: 0", "\nseed: 1", True),
    ):
        params.write_text(before.replace(one, other))
        assert (point_of(rev, profile) is not None) is there
    params.write_text(before)
    pipeline = Path("dvc.yaml")
    was = pipeline.read_text()
    pipeline.write_text(f"{was}\n# edited\n")
    assert point_of(rev, profile) is None
    pipeline.write_text(was)


def test_a_sweep_that_was_stopped_goes_on_and_a_gate_loses_no_run(project: Path, first: str) -> None:
    params = project / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("{acc: null", "{acc: 0.02"))
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    env["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ROOT / 'tests/helpers'}"
    command = [sys.executable, *SWEEP[1:], "--ratios", "0,0.25"]
    with subprocess.Popen(
        command,
        cwd=project,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as sweep:
        assert sweep.stdout is not None
        for line in sweep.stdout:
            if line.startswith("Running stage 'train'"):
                os.killpg(sweep.pid, signal.SIGINT)  # as Ctrl-C does
                break
        rest = sweep.stdout.read()
    assert sweep.returncode == 130
    assert "sweep: stopped; `make sweep` goes on where it was" in rest
    assert names(project) == ["ratio-0-lr-0.003-seed-0"]
    said = run(project, *SWEEP, "--ratios", "0,0.25")
    assert "sweep: ratio-0-lr-0.003-seed-0 is there" in said
    assert "sweep: run 1 of 1, ratio-0.25-lr-0.003-seed-0" in said
    assert "No configuration loses 0.02 of MMLU or less; the nearest is mix.ratio 0.25" in said
    params.write_text(before)


def test_seeds_are_added_to_the_runs_that_are_there_and_one_that_fails_is_named(project: Path, first: str) -> None:
    said = run(project, *SWEEP, "--ratios", "0,0.25", "--seeds", "3", "--mmlu-drop", "0.5", status=1)
    assert {f"sweep: ratio-{ratio}-lr-0.003-seed-0 is there" for ratio in ("0", "0.25")} <= set(said.splitlines())
    assert "sweep: run 1 of 4, ratio-0-lr-0.003-seed-1" in said
    assert said.splitlines()[-1].startswith("alloy: ratio-0.25-lr-0.003-seed-2 failed: ")
    expected = [f"ratio-{ratio}-lr-0.003-seed-{seed}" for ratio in ("0", "0.25") for seed in (0, 1, 2)]
    assert names(project) == expected[:-1]
    rows = {line.split("|")[1].strip(): line for line in said.splitlines() if line.startswith("| ")}
    assert "| 0.603 (" in rows["> 0"]  # 0.60, 0.62 and 0.59
    assert "| 0, 1, 2 |" in rows["> 0"]
    assert "| 0.510 (" in rows["0.25"]
    assert "| 0, 1 " in rows["0.25"]
    assert "Missing: mix.ratio 0.25: no finished run of seed 2; its figures are of 0, 1" in said
    assert ONE_SEED in said  # of each run
    assert ONE_SEED not in (project / "metrics/frontier/frontier.md").read_text()


def test_files_that_neither_git_nor_dvc_knows_stop_the_sweep(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    stray = Path("data/mine/comments.jsonl")
    stray.parent.mkdir(parents=True)
    stray.write_text("{}\n")
    with pytest.raises(InputError, match=r"^data/mine/comments\.jsonl: neither git nor DVC knows it"):
        require_known(["data/mine"])
    run(project, "git", "add", "-N", str(stray))
    require_known(["data/mine"])
    run(project, "git", "rm", "-qf", str(stray))


def test_comments_that_git_ignores_must_be_known_to_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("comments.jsonl", "general.jsonl", "raw/a.csv", "__pycache__/a.pyc"):
        Path("data/mine", file).parent.mkdir(parents=True, exist_ok=True)
        Path("data/mine", file).touch()
    Path(".gitignore").write_text("/data/mine/*\n")
    Path("data/mine/dvc.yaml").write_text("stages: {convert: {cmd: x, outs: [general.jsonl]}}")
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, "git", "add", "-f", "data/mine/dvc.yaml")
    with pytest.raises(InputError, match=r"^data/mine/comments\.jsonl: neither git nor DVC knows it.*$"):
        require_known(["data/mine"])
    Path("data/mine/comments.jsonl.dvc").touch()
    run(tmp_path, "git", "add", "-f", "data/mine/comments.jsonl.dvc")
    require_known(["data/mine"])


def test_two_sweeps_of_one_folder_do_not_meet(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    with alone(), pytest.raises(InputError, match=r"^another sweep"), alone():
        pass
    with alone():
        pass


@pytest.mark.parametrize(("words", "line"), [
    (["--ratios", ""], "alloy: --ratios: "),
    (["--ratios", "0", "--lrs", "3"], "alloy: --lrs: '3'"),
    (["--ratios", "0", "--mmlu-drop", "2%"], "alloy: --max-loss: "),
    (["--ratios", "0", "--axis", "mmlu.ac"], "alloy: --axis: "),
    (["--ratios", "0", "--seeds", str(2**32 + 1)], "alloy: --seeds: "),
])  # fmt: skip
def test_what_is_wrong_is_said_before_anything_runs(project: Path, words: list[str], line: str) -> None:
    (said,) = run(project, *SWEEP, *words, status=1).splitlines()
    assert said.startswith(line)


def test_on_a_terminal_a_command_sees_one_and_its_words_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    inner = "import sys; print(sys.stderr.isatty()); sys.exit(3)"
    code = (
        "import sys; from pathlib import Path; from alloy.sweep.terminal import tee; "
        f"sys.exit(tee([sys.executable, '-c', {inner!r}], Path({str(log)!r}), 2))"
    )
    seen = bytearray()

    def read(end: int) -> bytes:
        block = os.read(end, 1024)
        seen.extend(block)
        return block

    here = os.getcwd()
    os.chdir(ROOT)
    try:
        status = pty.spawn([sys.executable, "-c", code], read, lambda _: b"")
    finally:
        os.chdir(here)
    assert os.waitstatus_to_exitcode(status) == 3
    assert log.read_text().strip() == "True"
    assert "True" in seen.decode()
