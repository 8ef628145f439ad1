"""A killed training is resumed: real DVC, real kills, and the same bytes in the end."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from alloy.core.settings import load_seed
from alloy.runtime.durable import SEAL, seal_folder, seal_line
from alloy.runtime.resume import METRICS, PROJECT, WorkFolder, hash_inputs, hold_work_folder, remove_finished_work
from alloy.training.settings import Train
from projects import ROOT, SECTIONS, make_dense_config, make_environment, make_moe_config, needs_compiler, write_project

pytestmark = pytest.mark.slow

STEPS = 60  # of about 20 ms, each with a checkpoint
SETTINGS: dict[str, dict[str, Any]] = {
    "muon": {"max_steps": STEPS, "optimizer": "muon"},
    "lora": {"max_steps": 40, "method": "lora", "lora": {"dropout": 0.1}},
    # With two processes on two cores that other tests use too, a step takes seconds.
    "zero2": {"max_steps": 14, "deepspeed": "zero2"},
    "zero3-mixture": {"max_steps": 14, "deepspeed": "zero3"},
}
PROCESSES = {"zero2": "2", "zero3-mixture": "2"}
PATIENCE = 600  # seconds, for anything that is waited for: other tests may have both cores
KEY = "k" * 64
BY_HAND = (sys.executable, "-m", "stages.train")
REPRO = ("dvc", "repro", "train")


def wait_until(what: Callable[[], Any], pause: float = 0.02) -> Any:
    """Call `what` every `pause` seconds until its result is true; return the result."""
    end = time.monotonic() + PATIENCE
    while not (value := what()):
        assert time.monotonic() < end, f"not within {PATIENCE} seconds"
        time.sleep(pause)
    return value


def list_processes(folder: Path) -> list[psutil.Process]:
    """Return the processes whose working directory is in `folder`."""
    found = []
    for process in psutil.process_iter():
        try:
            at_work = process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(folder)
        except psutil.Error:
            continue
        if at_work:
            found.append(process)
    return found


@dataclass(frozen=True)
class Run:
    """A started command, and the log with the output of the command and of its orphans."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text()

    def end(self) -> int:
        try:
            return self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {PATIENCE} seconds\n{self.output}") from None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True)
class Project:
    """A folder to run commands in. Progress is kept in `root`, which differs from `folder` in a temporary copy."""

    folder: Path
    root: Path

    def start(self, *command: str, **env: str) -> Run:
        log = self.folder.with_name(f"{self.folder.name}.{time.monotonic_ns()}.log")
        every_step = {"ALLOY_CHECKPOINT_SECONDS": "0", "OMP_NUM_THREADS": "1", **env}
        with log.open("w") as sink:
            process = subprocess.Popen(
                command, cwd=self.folder, env=make_environment(**every_step), stdout=sink, stderr=subprocess.STDOUT
            )
        return Run(process, log)

    def run(self, *command: str, **env: str) -> str:
        """Run a command, which must succeed; return its output."""
        run = self.start(*command, **env)
        assert run.end() == 0, run.output
        return run.output

    def scratch(self) -> list[Path]:
        return sorted(self.root.glob(".dvc/tmp/alloy/train-*"))

    def step(self) -> int:
        """Return the step after which the last whole checkpoint was saved; 0 without one."""
        whole = self.root.glob(f".dvc/tmp/alloy/train-*/checkpoint-*/{SEAL}")
        return max((int(mark.parent.name.removeprefix("checkpoint-")) for mark in whole), default=0)

    def half_written(self) -> list[Path]:
        found = self.root.glob(".dvc/tmp/alloy/train-*/checkpoint-*")
        return [checkpoint for checkpoint in found if not (checkpoint / SEAL).exists()]

    def trainers(self) -> list[psutil.Process]:
        """Return the processes that train, without a launcher of theirs."""
        found = []
        for process in list_processes(self.folder):
            try:
                command = process.cmdline()
            except psutil.Error:
                continue
            if "stages.train" in command and "alloy.training.distributed" not in command:
                found.append(process)
        return found

    def trains(self, run: Run, steps: int = 3) -> psutil.Process:
        """Wait until `run` has saved checkpoints of some more steps, and return its trainer (rank 0 or 1)."""
        before = self.step()

        def going() -> bool:
            assert run.process.poll() is None, run.output
            return self.step() >= before + steps

        wait_until(lambda: self.trainers() or run.process.poll() is not None, pause=0.2)
        wait_until(going)
        return self.trainers()[-1]

    def weights(self) -> bytes:
        return (self.folder / "models/trained/model.safetensors").read_bytes()

    def curve(self) -> bytes:
        return (self.folder / "metrics/loss.csv").read_bytes()

    def report(self) -> bytes:
        """Return metrics/train.json, in which the speed differs between training runs."""
        return (self.folder / "metrics/train.json").read_bytes()

    def set_lr(self, lr: float) -> None:
        profile = self.folder / "profiles/small.yaml"
        settings = yaml.safe_load(profile.read_text())
        settings["train"]["lr"] = lr
        profile.write_text(yaml.safe_dump(settings))


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[Path]:
    """A folder for all these tests; processes in it are killed at the end."""
    folder = tmp_path_factory.mktemp("resume")
    yield folder
    processes = list_processes(folder)
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=30)


@pytest.fixture(scope="module")
def blank(world: Path) -> dict[str, Path]:
    """A repository for each setting, in which nothing has been run."""
    folders = {}
    for setting, train in SETTINGS.items():
        folder = folders[setting] = world / "blank" / setting
        write_project(
            folder, make_moe_config() if "mixture" in setting else make_dense_config(), global_batch=2, **train
        )
        stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
        # Sections of the profile that are read only by stages that this project leaves out.
        profile_params = {"profiles/${profile}.yaml": ["model", "infer", *SECTIONS]}
        other = {"cmd": "echo other", "params": [profile_params]}
        stages = {"train": stages["train"], "interpolate": stages["interpolate"], "other": other}
        (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
        shutil.copy(ROOT / "versions.yaml", folder)
        (folder / "params.yaml").write_text("profile: small\nseed: 0\ninterpolate: {alpha: 1.0}\n")
        (folder / ".dvc").mkdir()
        for name in (".dvc/config", ".dvc/.gitignore", ".gitignore"):
            shutil.copy(ROOT / name, folder / name)
        for arguments in (
            ["init", "-q", "-b", "main"],
            ["config", "user.email", "test@example.org"],
            ["config", "user.name", "Test"],
            ["add", "-A"],
            ["commit", "-qm", "start"],
        ):
            subprocess.run(["git", *arguments], cwd=folder, check=True)
    return folders


@pytest.fixture(scope="module")
def fresh(world: Path, blank: dict[str, Path]) -> Callable[..., Project]:
    """Return a function that makes a project with a name and a setting."""

    def make(name: str, setting: str = "muon") -> Project:
        folder = shutil.copytree(blank[setting], world / name)
        return Project(folder, folder)

    return make


@pytest.fixture(scope="module")
def whole(fresh: Callable[..., Project]) -> Iterator[Callable[[str], Project]]:
    """Return a function that returns the uninterrupted run of a setting; a thread runs them one by one."""

    def train(setting: str) -> Project:
        project = fresh(f"whole-{setting}", setting)
        project.run(*BY_HAND, ALLOY_PROCESSES=PROCESSES.get(setting, "1"))
        return project

    with ThreadPoolExecutor(1) as pool:
        runs = {setting: pool.submit(train, setting) for setting in SETTINGS}
        yield lambda setting: runs[setting].result()
        pool.shutdown(cancel_futures=True)


def send_sigterm(run: Run, project: Project) -> None:
    project.trains(run).terminate()


def send_sigint(run: Run, project: Project) -> None:
    project.trains(run).send_signal(signal.SIGINT)


def sigkill_amid_a_checkpoint(run: Run, project: Project) -> None:
    trainer = project.trains(run)
    while True:
        wait_until(project.half_written, pause=0.0)
        trainer.suspend()
        wait_until(lambda: trainer.status() == psutil.STATUS_STOPPED)
        if project.half_written():
            trainer.kill()
            return
        trainer.resume()


def sigkill_dvc_too(run: Run, project: Project) -> None:
    trainer = project.trains(run)
    run.kill()
    trainer.kill()


@dataclass(frozen=True)
class Ended:
    """How a run ended, and the training step before and after it."""

    code: int
    output: str
    before: int
    after: int


KILLS = [send_sigterm, send_sigint, sigkill_amid_a_checkpoint, sigkill_dvc_too]


@pytest.fixture(scope="module")
def killed(fresh: Callable[..., Project], whole: Callable[[str], Project]) -> tuple[Project, dict[str, Ended]]:
    """One training, started by DVC again and again and ended each time in another way."""
    project = fresh("killed")
    runs = {}
    for kill in KILLS:
        before = project.step()
        run = project.start(*REPRO)
        kill(run, project)
        runs[kill.__name__] = Ended(run.end(), run.output, before, project.step())
        wait_until(lambda: not project.trainers())
    return project, runs


@pytest.mark.parametrize("kill", [send_sigterm, send_sigint])
def test_a_trainer_that_is_asked_to_stop_saves_says_so_once_and_fails(killed, kill):
    _, runs = killed
    ended = runs[kill.__name__]
    assert ended.code != 0
    assert ended.output.count("stopped after step") == 1
    assert f"train: stopped after step {ended.after} of {STEPS}; `dvc repro` continues from there" in ended.output
    assert "Traceback" not in ended.output


def test_a_trainer_that_is_killed_fails_the_stage(killed):
    _, runs = killed
    assert all(runs[kill.__name__].code != 0 for kill in KILLS)


def test_each_run_resumes_from_the_last_complete_checkpoint(killed):
    _, runs = killed
    assert f"train: continuing after step {runs['send_sigterm'].after} of {STEPS}" in runs["send_sigint"].output
    steps = [(run.before, run.after) for run in runs.values()]
    assert all(0 <= before < after < STEPS for before, after in steps), steps
    assert "Traceback" not in "".join(run.output for run in runs.values())


def test_a_resumed_run_prints_no_warnings(killed):
    _, runs = killed
    assert "missing keys" not in runs["send_sigint"].output


@pytest.fixture(scope="module")
def superseded(killed: tuple[Project, dict[str, Ended]]) -> tuple[Project, str, str]:
    """Kill only DVC, not its trainer, and start DVC again. Return both outputs."""
    project, _ = killed
    first = project.start(*REPRO)
    orphan = project.trains(first)
    orphan.suspend()  # it would be done before the next one has begun
    first.kill()
    second = project.start(*REPRO)
    wait_until(lambda: f"process {orphan.pid} is doing the same work; waiting" in second.output)
    assert len(project.trainers()) == 2
    orphan.resume()
    wait_until(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE)
    assert second.end() == 0, second.output
    return project, first.output, second.output


def test_an_orphan_stops_for_the_next_run_and_writes_no_output(superseded):
    _, orphan, following = superseded
    stopped = re.search(r"train: stopped after step (\d+) of", orphan)
    assert stopped, orphan
    assert "train: examples" not in orphan
    assert f"train: continuing after step {stopped[1]} of {STEPS}" in following


def test_after_all_these_kills_the_bytes_equal_an_uninterrupted_run(superseded, whole):
    project, _, _ = superseded
    assert project.weights() == whole("muon").weights()
    assert project.curve() == whole("muon").curve()


def test_a_forced_training_trains_again_although_its_work_folder_exists(superseded):
    project, _, _ = superseded
    (scratch,) = project.scratch()
    begun = time.time()
    output = project.run("dvc", "repro", "-f", "train")
    assert "reusing the result" not in output
    assert "going on" not in output
    assert (scratch / "result" / METRICS).stat().st_mtime > begun


def test_finished_work_is_removed_once_dvc_has_recorded_the_model(superseded):
    project, _, _ = superseded
    assert project.scratch()
    project.run("dvc", "repro", "interpolate")
    assert not project.scratch()


def test_an_orphan_does_not_overwrite_what_dvc_has_put_there_since(superseded):
    project, _, _ = superseded
    project.run("dvc", "repro")
    recorded = project.weights(), project.report()
    project.set_lr(2.0e-2)
    run = project.start(*REPRO)
    orphan = project.trains(run)
    orphan.suspend()
    run.kill()
    project.set_lr(1.0e-2)
    assert "cached - skipping run" in project.run("dvc", "repro")
    orphan.resume()
    wait_until(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE)
    assert (project.weights(), project.report()) == recorded


def test_a_result_that_dvc_has_not_recorded_is_reused_without_training(fresh, whole):
    project = fresh("unrecorded")
    project.run(*BY_HAND, DVC_ROOT=str(project.folder))
    report = project.report()
    project.run("dvc", "repro", "other")  # DVC has written dvc.lock, but not about this
    shutil.rmtree(project.folder / "models/trained")
    output = project.run(*REPRO)
    assert "train: reusing the result of an earlier run" in output
    assert project.report() == report
    assert project.weights() == whole("muon").weights()


def test_a_changed_learning_rate_starts_from_the_beginning(whole, world):
    folder = shutil.copytree(whole("muon").folder, world / "other-rate")
    project = Project(folder, folder)
    (finished,) = project.scratch()
    project.set_lr(2.0e-2)
    run = project.start(*BY_HAND)
    wait_until(lambda: len(project.scratch()) == 2)
    (other,) = set(project.scratch()) - {finished}
    wait_until(lambda: list(other.glob(f"checkpoint-*/{SEAL}")))
    run.process.terminate()
    assert run.end() != 0
    assert "going on" not in run.output
    stopped = re.search(r"stopped after step (\d+) of", run.output)
    assert stopped, run.output
    assert int(stopped[1]) < STEPS / 2
    assert "reusing the result" not in run.output
    assert (finished / "result").exists()


def test_a_run_waits_for_the_same_training_in_another_project_and_reuses_its_result(fresh, world, whole):
    root = world / "main-repository"
    project, other_project = (Project(fresh(name).folder, root) for name in ("one", "two"))
    first = project.start(*BY_HAND, DVC_ROOT=str(root))
    trainer = project.trains(first)
    trainer.suspend()
    second = other_project.start(*BY_HAND, DVC_ROOT=str(root))
    wait_until(lambda: f"process {trainer.pid} is doing the same work; waiting" in second.output)
    trainer.resume()
    assert (first.end(), second.end()) == (0, 0), first.output + second.output
    assert "reusing the result" in second.output
    assert project.report() == other_project.report()
    assert project.weights() == other_project.weights() == whole("muon").weights()


@pytest.mark.parametrize("setting", ["lora", pytest.param("zero3-mixture", marks=needs_compiler)])
def test_every_training_method_gives_the_same_bytes_after_a_stop(fresh, whole, setting):
    project = fresh(f"stopped-{setting}", setting)
    env = {"ALLOY_PROCESSES": PROCESSES.get(setting, "1")}
    run = project.start(*BY_HAND, **env)
    project.trains(run)
    run.process.terminate()  # the launcher, where there are several processes
    assert run.end() != 0
    assert not project.trainers()
    going_on = f"train: continuing after step {project.step()} of {SETTINGS[setting]['max_steps']}"
    assert going_on in project.run(*BY_HAND, **env)
    assert project.weights() == whole(setting).weights()
    assert project.curve() == whole(setting).curve()
    assert run.output.count("stopped after step") == 1, run.output


@needs_compiler
def test_all_orphans_of_a_killed_launcher_stop(fresh, whole):
    project = fresh("orphans", "zero2")
    env = {"ALLOY_PROCESSES": PROCESSES["zero2"]}
    first = project.start(*BY_HAND, **env)
    project.trains(first)
    orphans = project.trainers()
    assert len(orphans) == 2
    for orphan in orphans:
        orphan.suspend()
    first.kill()
    second = project.start(*BY_HAND, **env)
    wait_until(lambda: "is doing the same work; waiting" in second.output)
    for orphan in orphans:
        orphan.resume()
    assert second.end() == 0, second.output
    assert re.search(r"train: continuing after step \d+ of 14", second.output)
    assert project.weights() == whole("zero2").weights()
    assert project.curve() == whole("zero2").curve()
    wait_until(lambda: not project.trainers(), pause=0.2)


def test_a_temporary_experiment_resumes_from_the_killed_one(fresh, whole):
    project = fresh("temporary")
    first = project.start("dvc", "exp", "run", "--temp")
    sigkill_dvc_too(first, project)
    step = project.step()
    output = project.run("dvc", "exp", "run", "--temp", "--name", "again")
    assert f"train: continuing after step {step} of {STEPS}" in output
    assert not project.scratch()
    project.run("dvc", "exp", "apply", "again")
    assert project.weights() == whole("muon").weights()


def test_a_queued_experiment_resumes_from_the_one_whose_trainer_was_killed(fresh, whole):
    project = fresh("queue")

    def queue(name: str) -> Run:
        project.run("dvc", "exp", "run", "--queue", "--name", name)
        return project.start("dvc", "queue", "start", "--jobs", "1")

    def comes_to(name: str, state: str) -> None:
        wait_until(lambda: re.search(rf"{name} .*{state}", project.run("dvc", "queue", "status")))

    worker = queue("first")
    assert worker.end() == 0
    wait_until(project.trainers)
    wait_until(lambda: project.step() >= 3)
    project.trainers()[0].kill()
    comes_to("first", "Failed")
    step = project.step()
    assert queue("second").end() == 0
    comes_to("second", "Success")
    assert f"train: continuing after step {step} of {STEPS}" in project.run("dvc", "queue", "logs", "second")
    assert not project.scratch()
    project.run("dvc", "exp", "apply", "second")
    assert project.weights() == whole("muon").weights()


@pytest.fixture
def small_disk(fresh: Callable[..., Project]) -> Iterator[tuple[Project, Callable[[int], None]]]:
    """A project with .dvc/tmp on a file system too small for two checkpoints, and a function that resizes it."""
    project = fresh("small-disk")
    mount_point = project.folder / ".dvc/tmp"
    mount_point.mkdir()
    checkpoint = 4 * (project.folder / "models/base/model.safetensors").stat().st_size

    def mount(options: str) -> "subprocess.CompletedProcess[str]":
        command = ["mount", "-t", "tmpfs", "-o", options, "alloy-test", str(mount_point)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    if not shutil.which("mount") or (result := mount(f"size={checkpoint * 3 // 2}")).returncode:
        pytest.skip("may not mount a small file system here" + (f": {result.stderr.strip()}" if result else ""))
    try:
        yield project, lambda size: mount(f"remount,size={size}").check_returncode()
    finally:
        subprocess.run(["umount", "--lazy", str(mount_point)], check=True)


def test_a_full_disk_is_an_error_of_one_line_and_loses_no_work(small_disk, whole):
    project, resize = small_disk
    run = project.start(*REPRO)
    assert run.end() != 0
    warnings = [line for line in run.output.splitlines() if "a checkpoint needs" in line]
    assert len(warnings) == 1, run.output
    assert re.search(r"a checkpoint needs [\d.]+ GiB, but [\d.]+ GiB are free; ", warnings[0])
    assert "Traceback" not in run.output
    step = project.step()
    assert step > 0
    resize(2**24)
    assert f"train: continuing after step {step} of {STEPS}" in project.run(*REPRO)
    assert project.weights() == whole("muon").weights()


# Parts of the name of a training run's folder.


def make_key() -> str:
    return hash_inputs("train", [Train.load(), load_seed()])


@pytest.fixture
def inside(blank: dict[str, Path], tmp_path: Path, monkeypatch) -> Path:
    folder = shutil.copytree(blank["muon"], tmp_path / "project")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    return folder


CHANGES = {
    "profiles/small.yaml": ("lr: 0.01", "lr: 0.02"),
    "params.yaml": ("seed: 0", "seed: 1"),
    "alloy/training/trainer.py": ('"""', '"""Another. '),
    "data/mix/train.jsonl": ("red", "blue"),
    "models/base/tokenizer_config.json": ("{", "{ "),
    "profiles/deepspeed/zero2.json": ("{", "{ "),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_input_of_the_result_changes_the_work_folder(inside, name):
    before = make_key()
    text = (inside / name).read_text()
    assert CHANGES[name][0] in text
    (inside / name).write_text(text.replace(*CHANGES[name], 1))
    assert make_key() != before


def test_inputs_of_other_stages_do_not_change_the_work_folder(inside):
    before = make_key()
    (inside / "params.yaml").write_text((inside / "params.yaml").read_text().replace("alpha: 1.0", "alpha: 0.5"))
    (inside / "stages/infer.py").write_text("# nothing")
    profile = inside / "profiles/small.yaml"
    profile.write_text(profile.read_text().replace("infer: {}", "infer: {batch_size: 2}"))
    assert make_key() == before


# What becomes of the folder.


@pytest.fixture
def copies(tmp_path: Path, monkeypatch) -> list[Path]:
    """Two temporary copies of one repository; the first is the current folder."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "main"))
    folders = [tmp_path / "copy-one", tmp_path / "copy-two"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.chdir(folders[0])
    return folders


def write_finished(work_folder: WorkFolder) -> None:
    (work_folder.result / "model").mkdir(parents=True)
    (work_folder.result / "model/config.json").write_text("{}")
    (work_folder.result / METRICS).write_text("{}")


def test_an_unsealed_checkpoint_is_removed_and_not_resumed_from(copies):
    with hold_work_folder("train", KEY) as work_folder:
        for step in (8, 9):
            (work_folder.path / f"checkpoint-{step}").mkdir()
        work_folder.keep_checkpoint(work_folder.path / "checkpoint-9")
        (work_folder.path / "checkpoint-10").mkdir()
        (work_folder.path / "result.part").mkdir()
    with hold_work_folder("train", KEY) as work_folder:
        assert work_folder.find_checkpoint("train") == work_folder.path / "checkpoint-9"
        assert {path.name for path in work_folder.path.iterdir()} == {"checkpoint-9", "project"}


def test_steps_of_checkpoints_are_compared_as_numbers(copies):
    with hold_work_folder("train", KEY) as work_folder:
        for step in (9, 10):
            (work_folder.path / f"checkpoint-{step}").mkdir()
            seal_folder(work_folder.path / f"checkpoint-{step}")
        assert work_folder.find_checkpoint("train") == work_folder.path / "checkpoint-10"


def test_a_later_run_in_the_same_folder_takes_over_and_one_in_another_does_not(copies, monkeypatch):
    with hold_work_folder("train", KEY) as work_folder:
        assert not work_folder.is_superseded()
        monkeypatch.chdir(copies[1])
        with hold_work_folder("train", "another" * 8):
            assert not work_folder.is_superseded()
        monkeypatch.chdir(copies[0])
        with hold_work_folder("train", "another" * 8):
            assert work_folder.is_superseded()


def test_finished_work_is_removed_with_its_project_folder(copies, monkeypatch):
    with hold_work_folder("train", KEY) as work_folder:
        write_finished(work_folder)
    monkeypatch.chdir(copies[1])
    remove_finished_work()
    assert work_folder.path.exists()
    copies[0].rmdir()
    remove_finished_work()
    assert not work_folder.path.exists()


def test_finished_work_is_not_removed_while_a_run_uses_it(copies, monkeypatch):
    with hold_work_folder("train", KEY) as work_folder:
        write_finished(work_folder)
        (work_folder.path / PROJECT).write_bytes(seal_line(b"/a folder that has gone"))
        remove_finished_work()
        assert work_folder.result.exists()
    remove_finished_work()
    assert not work_folder.path.exists()


def test_a_result_outlives_the_temporary_copy_whose_run_dvc_could_not_record(copies, monkeypatch):
    """DVC removes the copy after any failure, also if its cache's disk is full. The next copy is another folder."""
    with hold_work_folder("train", KEY) as work_folder:
        write_finished(work_folder)
    monkeypatch.chdir(copies[1])
    copies[0].rmdir()
    with hold_work_folder("train", KEY) as work_folder:
        assert work_folder.result.exists()


@pytest.mark.parametrize("first", ["project", "result/model"])
def test_an_interrupted_removal_is_completed_by_the_next(copies, monkeypatch, first):
    with hold_work_folder("train", KEY) as work_folder:
        write_finished(work_folder)
    monkeypatch.chdir(copies[1])
    copies[0].rmdir()
    whole_removal = shutil.rmtree

    def cut_short(folder: Path, *_: object, **__: object) -> None:
        part = Path(folder, first)
        part.unlink() if part.is_file() else whole_removal(part)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", cut_short)
        with pytest.raises(KeyboardInterrupt):
            remove_finished_work()
    with hold_work_folder("train", KEY) as work_folder:
        assert not work_folder.result.exists()
    remove_finished_work()
    files = [path for path in work_folder.path.parent.rglob("*") if path.is_file() and "locks" not in path.parts]
    assert files == [work_folder.path / "project"]
