"""`alloy sweep` in a separate repository: failed, finished and stopped runs."""

import os
import pty
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from alloy.comparison.seeds import ONE_SEED
from alloy.comparison.settings import Gate
from alloy.core.files import InputError
from alloy.sweep.dvc_experiments import list_experiments
from alloy.sweep.grid import GridPoint, find_point, make_grid, make_overrides, parse_numbers
from alloy.sweep.runner import find_shared_stages, hold_lock, make_copy_options, require_known_files
from sweep_project import ROOT, run_command, write_project

pytestmark = pytest.mark.slow

SWEEP = ("python", "-m", "alloy", "sweep")


def is_share(value: float) -> bool:
    return 0 <= value <= 1


def test_a_list_keeps_each_number_once_in_order() -> None:
    assert parse_numbers("RATIOS", "0.25, 0,0.25,1.0e-1", is_share, "a share") == [0.25, 0.0, 0.1]


@pytest.mark.parametrize("word", ["quarter", "1.5", "-0.1", "nan", "25%"])
def test_the_error_of_an_invalid_number_shows_it(word: str) -> None:
    with pytest.raises(InputError, match=rf"^RATIOS: .*'{re.escape(word)}'"):
        parse_numbers("RATIOS", f"0,{word}", is_share, "a share")


def test_the_name_of_a_run_has_its_ratio_rate_and_seed() -> None:
    assert GridPoint(0.25, 0.003, 0).name == "ratio-0.25-lr-0.003-seed-0"
    assert GridPoint(0.0, 1e-5, 12).name == "ratio-0-lr-1e-05-seed-12"


def test_the_gate_is_disabled_in_runs() -> None:
    overrides = ["-S", "mix.ratio=0.25", "-S", "profiles/demo.yaml:train.lr=1e-05", "-S", "seed=3"]
    assert make_overrides(GridPoint(0.25, 1e-5, 3), Gate(), "demo") == overrides
    gate = Gate.model_validate({"mmlu": {"acc": 0.1, "unparsed": None}})
    assert make_overrides(GridPoint(0.25, 1e-5, 3), gate, "demo") == [*overrides, "-S", "gate.mmlu.acc=null"]


def test_all_configurations_are_run_with_one_seed_before_the_next() -> None:
    points = [(point.seed, point.lr, point.ratio) for point in make_grid([0.0, 0.5], [1e-3], [4, 5])]
    assert points == [(4, 1e-3, 0.0), (4, 1e-3, 0.5), (5, 1e-3, 0.0), (5, 1e-3, 0.5)]


def test_stages_that_do_not_depend_on_the_mix_are_shared() -> None:
    dot = subprocess.run(
        [Path(sys.executable).with_name("dvc"), "dag", "--dot", "dvc.yaml"],
        cwd=ROOT, text=True, capture_output=True, check=True,
    ).stdout  # fmt: skip
    assert {"base", "split", "svm", "score@svm", "infer@base", "mmlu@base"} <= set(find_shared_stages(dot))
    changed = {"mix", "train", "interpolate", "compare", "report"}
    assert not changed & set(find_shared_stages(dot))
    assert not [name for name in find_shared_stages(dot) if name.endswith("@tuned")]


def test_raw_files_are_copied_to_runs_since_git_ignores_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("mine/raw/.gitkeep", "mine/raw/a.csv", "mine/raw/more/b.csv", "yours/c.csv"):
        Path("data", file).parent.mkdir(parents=True, exist_ok=True)
        Path("data", file).touch()
    expected = ["--copy-paths", "data/mine/raw/a.csv", "--copy-paths", "data/mine/raw/more/b.csv"]
    assert make_copy_options(["data/mine", "data/mine", "data/yours"]) == expected


def list_names(project: Path) -> list[str]:
    return sorted(run_command(project, "dvc", "exp", "list", "--name-only").split())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("sweep") / "project")


@pytest.fixture(scope="module")
def first(project: Path) -> str:
    """Return the output of a first sweep, in which the run of ratio 0.4 fails."""
    output = run_command(project, *SWEEP, "--ratios", "0.4,0", "--mmlu-drop", "0.5", status=1)
    run_command(project, "git", "add", "-A")
    return output


def test_a_run_that_fails_is_named_with_its_log_and_the_others_are_kept(project: Path, first: str) -> None:
    assert re.search(r"\bmix\.ratio 0: VOC F1 0\.600, .*\bonly configuration\b.* 0\.5 of MMLU\b", first), first
    assert ONE_SEED in first
    last = first.splitlines()[-1]
    found = re.fullmatch(r"alloy: ratio-0\.4-lr-0\.003-seed-0 failed, see (\S+); .*", last)
    assert found
    assert "train: the loss became nan" in (project / found[1]).read_text()
    assert list_names(project) == ["ratio-0-lr-0.003-seed-0"]


def test_shared_stages_run_once(first: str) -> None:
    assert first.count("Running stage 'base'") == 1


def test_the_workspace_keeps_its_params(project: Path, first: str) -> None:
    assert run_command(project, "git", "diff", "HEAD", "--", "params.yaml", "profiles") == ""


def test_a_run_with_other_settings_is_not_reused(project: Path, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    ((_, rev),) = list_experiments()[0]
    profile = "profiles/demo.yaml"
    assert find_point(rev, profile) == GridPoint(0.0, 0.003, 0)
    params = Path("params.yaml")
    before = params.read_text()
    for old, new, is_reused in (
        ("unit: examples", "unit: tokens", False),
        ("acc: null", "acc: 0.1", True),
        ("\nseed: 0", "\nseed: 1", True),
    ):
        params.write_text(before.replace(old, new))
        assert (find_point(rev, profile) is not None) is is_reused
    params.write_text(before)
    pipeline = Path("dvc.yaml")
    pipeline_before = pipeline.read_text()
    pipeline.write_text(f"{pipeline_before}\n# edited\n")
    assert find_point(rev, profile) is None
    pipeline.write_text(pipeline_before)


def test_a_stopped_sweep_continues_and_a_gate_fails_no_run(project: Path, first: str) -> None:
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
        remaining_output = sweep.stdout.read()
    assert sweep.returncode == 130
    assert "sweep: stopped; " in remaining_output
    assert list_names(project) == ["ratio-0-lr-0.003-seed-0"]
    output = run_command(project, *SWEEP, "--ratios", "0,0.25")
    assert "sweep: ratio-0-lr-0.003-seed-0 is already finished" in output
    assert "sweep: run 1 of 1, ratio-0.25-lr-0.003-seed-0" in output
    assert re.search(r"^No .* 0\.02 of MMLU .*\bmix\.ratio 0\.25\b", output, re.MULTILINE), output
    params.write_text(before)


def test_seeds_are_added_to_finished_runs_and_a_failed_one_is_named_in_the_error(project: Path, first: str) -> None:
    output = run_command(project, *SWEEP, "--ratios", "0,0.25", "--seeds", "3", "--mmlu-drop", "0.5", status=1)
    assert {f"sweep: ratio-{ratio}-lr-0.003-seed-0 is already finished" for ratio in ("0", "0.25")} <= set(
        output.splitlines()
    )
    assert "sweep: run 1 of 4, ratio-0-lr-0.003-seed-1" in output
    assert output.splitlines()[-1].startswith("alloy: ratio-0.25-lr-0.003-seed-2 failed, see ")
    expected = [f"ratio-{ratio}-lr-0.003-seed-{seed}" for ratio in ("0", "0.25") for seed in (0, 1, 2)]
    assert list_names(project) == expected[:-1]
    rows = {line.split("|")[1].strip(): line for line in output.splitlines() if line.startswith("| ")}
    assert "| 0.603 (" in rows["> 0"]  # 0.60, 0.62 and 0.59
    assert "| 0, 1, 2 |" in rows["> 0"]
    assert "| 0.510 (" in rows["0.25"]
    assert "| 0, 1 " in rows["0.25"]
    assert re.search(r"^Missing: mix\.ratio 0\.25: .*\bseed 2; .*\bseed 0, 1$", output, re.MULTILINE), output
    assert ONE_SEED in output  # printed by each run
    assert ONE_SEED not in (project / "metrics/frontier/frontier.md").read_text()


def test_files_not_tracked_by_git_or_dvc_stop_the_sweep(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    stray = Path("data/mine/comments.jsonl")
    stray.parent.mkdir(parents=True)
    stray.write_text("{}\n")
    with pytest.raises(InputError, match=r"^data/mine/comments\.jsonl: .*`dvc add`"):
        require_known_files(["data/mine"])
    run_command(project, "git", "add", "-N", str(stray))
    require_known_files(["data/mine"])
    run_command(project, "git", "rm", "-qf", str(stray))


def test_comments_that_git_ignores_must_be_tracked_by_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("comments.jsonl", "general.jsonl", "raw/a.csv", "__pycache__/a.pyc"):
        Path("data/mine", file).parent.mkdir(parents=True, exist_ok=True)
        Path("data/mine", file).touch()
    Path(".gitignore").write_text("/data/mine/*\n")
    Path("data/mine/dvc.yaml").write_text("stages: {convert: {cmd: x, outs: [general.jsonl]}}")
    run_command(tmp_path, "git", "init", "-q")
    run_command(tmp_path, "git", "add", "-f", "data/mine/dvc.yaml")
    with pytest.raises(InputError, match=r"^data/mine/comments\.jsonl: .*`dvc add`.*$"):
        require_known_files(["data/mine"])
    Path("data/mine/comments.jsonl.dvc").touch()
    run_command(tmp_path, "git", "add", "-f", "data/mine/comments.jsonl.dvc")
    require_known_files(["data/mine"])


def test_a_sweep_waits_until_the_experiment_of_a_killed_one_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with hold_lock() as lock:  # the killed sweep, whose child has inherited the lock
        child = subprocess.Popen(["sleep", "1000"], pass_fds=[lock])
    began = threading.Event()

    def run_next_sweep() -> None:
        with hold_lock():
            began.set()

    thread = threading.Thread(target=run_next_sweep)
    thread.start()
    assert not began.wait(0.3)
    child.kill()
    child.wait()
    assert began.wait(30)
    thread.join()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(".dvc/tmp/sweep/lock: ")


@pytest.mark.parametrize(("options", "start"), [
    (["--ratios", ""], "alloy: --ratios: "),
    (["--ratios", "0", "--lrs", "3"], "alloy: --lrs: "),
    (["--ratios", "0", "--mmlu-drop", "2%"], "alloy: --max-loss: "),
    (["--ratios", "0", "--axis", "mmlu.ac"], "alloy: --axis: "),
    (["--ratios", "0", "--seeds", str(2**32 + 1)], "alloy: --seeds: "),
])  # fmt: skip
def test_an_invalid_option_is_an_error_before_any_stage_runs(project: Path, options: list[str], start: str) -> None:
    (output,) = run_command(project, *SWEEP, *options, status=1).splitlines()
    assert output.startswith(start)


def test_a_command_sees_a_terminal_and_its_output_is_logged(tmp_path: Path) -> None:
    log = tmp_path / "log"
    inner = "import sys; print(sys.stderr.isatty()); sys.exit(3)"
    code = (
        "import sys; from pathlib import Path; from alloy.sweep.terminal import run_and_log; "
        f"sys.exit(run_and_log([sys.executable, '-c', {inner!r}], Path({str(log)!r}), 2))"
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
