"""The command that starts the processes of a training run. Training on several nodes gives the model of one process."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch

from alloy.core.files import InputError
from alloy.training.distributed import DEFAULT_PORT, build_launch_command, get_world_size, is_main, split_global_batch
from projects import (
    ROOT,
    find_foreign_lines,
    find_free_port,
    make_dense_config,
    make_environment,
    needs_compiler,
    read_weights,
    run_training,
    start_training,
    write_project,
)

SBATCH = ROOT / "profiles/slurm/train.sbatch"


def run_launcher(env, gpus=0):
    return build_launch_command("stages.train", env, gpus, "first")


def run_torchrun(processes, *more):
    start = [sys.executable, "-m", "alloy.training.distributed", f"--nproc-per-node={processes}"]
    return [*start, "--shutdown-timeout=600", *more, "-m", "stages.train"]


@pytest.mark.parametrize(
    ("env", "gpus"),
    [
        ({}, 0),
        ({}, 1),
        ({"ALLOY_PROCESSES": "1"}, 8),
        ({"ALLOY_PROCESSES": "", "ALLOY_HOSTFILE": "", "SLURM_JOB_NUM_NODES": ""}, 0),
        ({"SLURM_JOB_NUM_NODES": "1"}, 1),
    ],
)
def test_a_single_process_needs_no_launcher(env, gpus):
    assert run_launcher(env, gpus) is None


@pytest.mark.parametrize(
    ("env", "gpus", "processes"),
    [
        ({}, 8, 8),
        ({"ALLOY_PROCESSES": "2"}, 0, 2),
        ({"ALLOY_PROCESSES": "4"}, 8, 4),
        ({"SLURM_JOB_NUM_NODES": "1"}, 8, 8),
    ],
)
def test_torchrun_starts_several_processes_on_this_machine(env, gpus, processes):
    assert run_launcher(env, gpus) == run_torchrun(processes, "--standalone")


@pytest.mark.parametrize(("gpus", "processes"), [(8, 8), (0, 1)])
def test_srun_starts_several_nodes_of_slurm(gpus, processes):
    started = run_launcher({"SLURM_JOB_NUM_NODES": "4", "SLURM_JOB_ID": "17"}, gpus)
    rendezvous = ["--nnodes=4", "--rdzv-backend=c10d", f"--rdzv-endpoint=first:{DEFAULT_PORT}", "--rdzv-id=17"]
    torchrun = run_torchrun(processes, *rendezvous)
    options = started[1 : -len(torchrun)]
    assert started == ["srun", *options, *torchrun]
    assert {"--nodes=4", "--ntasks-per-node=1"} <= set(options)


def test_processes_per_node_and_the_port_of_the_rendezvous_can_be_set():
    started = run_launcher({"SLURM_JOB_NUM_NODES": "2", "ALLOY_PROCESSES": "3", "MASTER_PORT": "12345"}, 8)
    assert {"--nproc-per-node=3", "--rdzv-endpoint=first:12345"} <= set(started)


def test_a_hostfile_starts_the_launcher_of_deepspeed(tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("one slots=8\ntwo slots=8\n")
    started = run_launcher({"ALLOY_HOSTFILE": str(hosts)}, 8)
    assert f"--hostfile={hosts}" in started
    assert started[-2:] == ["--module", "stages.train"]


def test_a_missing_hostfile_names_the_file():
    with pytest.raises(InputError, match=r"^ALLOY_HOSTFILE: nowhere: .*`<host> slots=<gpus>`"):
        run_launcher({"ALLOY_HOSTFILE": "nowhere"})


@pytest.mark.parametrize("more", [{}, {"SLURM_JOB_NUM_NODES": "4"}, {"ALLOY_PROCESSES": "2"}])
def test_a_process_that_a_launcher_started_starts_no_launcher(more):
    assert run_launcher({"RANK": "0", "WORLD_SIZE": "8", **more}, 8) is None


@pytest.mark.parametrize("name", ["ALLOY_PROCESSES", "SLURM_JOB_NUM_NODES"])
@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", " "])
def test_a_variable_that_is_not_an_integer_is_named_in_the_error(name, text):
    with pytest.raises(InputError, match=rf"^{name}: .* got '{text}'"):
        run_launcher({name: text})


@pytest.mark.parametrize(
    ("batch", "processes", "rows", "expected"),
    [(8, None, None, (1, 8)), (8, 2, None, (1, 4)), (8, 2, 2, (2, 2)), (8, 2, 4, (4, 1)), (1, 1, 1, (1, 1))],
)
def test_the_rest_of_the_global_batch_is_accumulated(monkeypatch, batch, processes, rows, expected):
    for name, value in (("WORLD_SIZE", processes), ("ALLOY_DEVICE_ROWS", rows)):
        monkeypatch.delenv(name, raising=False)
        if value:
            monkeypatch.setenv(name, str(value))
    assert split_global_batch(batch) == expected


@pytest.mark.parametrize(("batch", "processes", "rows"), [(8, 3, 1), (8, 2, 3), (4, 8, 1), (4, 1, 8)])
def test_a_global_batch_that_is_not_divisible_names_the_key_and_the_numbers(monkeypatch, batch, processes, rows):
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    monkeypatch.setenv("ALLOY_DEVICE_ROWS", str(rows))
    with pytest.raises(InputError) as error:
        split_global_batch(batch, "model.scratch.train")
    line = str(error.value)
    assert line.startswith("model.scratch.train.global_batch: ")
    numbers = [processes * rows, processes, rows, batch]
    assert list(map(int, re.findall(r"\d+", line))) == numbers  # a multiple of ... (processes x rows), got ...
    assert "ALLOY_PROCESSES" in line
    assert "ALLOY_DEVICE_ROWS" in line


def test_device_rows_that_are_not_an_integer_name_the_variable(monkeypatch):
    monkeypatch.setenv("ALLOY_DEVICE_ROWS", "many")
    with pytest.raises(InputError, match=r"^ALLOY_DEVICE_ROWS: .* got 'many'"):
        split_global_batch(8)


def test_only_rank_0_or_a_process_without_a_launcher_is_main(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert (get_world_size(), is_main()) == (1, True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert (get_world_size(), is_main()) == (2, False)


@pytest.mark.slow
def test_a_profile_for_gpus_on_a_machine_without_one_is_an_error(tmp_path):
    result = start_training(write_project(tmp_path / "project", make_dense_config(), gpu=True))
    assert result.returncode == 1
    assert re.fullmatch(r"train: train\.gpu: .*\n", result.stderr), result.stderr


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The weights after a training run with one process."""
    return run_training(write_project(tmp_path_factory.mktemp("alone"), make_dense_config())).weights


def assert_same(weights, expected):
    assert weights.keys() == expected.keys()
    for name, weight in weights.items():
        torch.testing.assert_close(weight, expected[name], atol=1e-6, rtol=0)


@pytest.fixture
def cluster(tmp_path):
    """Return a function that installs scripts by name, which play commands of a cluster; all nodes are this machine."""

    def put(**scripts):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        for name, script in scripts.items():
            (folder / name).write_text("#!/bin/bash\n" + script)
            (folder / name).chmod(0o755)
        return f"{folder}{os.pathsep}{make_environment()['PATH']}"

    return put


# `srun [options] command` runs the command once per node. When one fails, the others are ended.
SRUN = """
while :; do case "$1" in --nodes=*) nodes=${1#*=}; shift;; --kill-*) kill=1; shift;; --*) shift;; *) break;; esac; done
for node in $(seq "$nodes"); do SLURM_NODEID=$((node - 1)) "$@" & done
for node in $(seq "$nodes"); do wait -n || { failed=1; [ -z "$kill" ] || kill $(jobs -p) 2>/dev/null; }; done
exit ${failed:-0}
"""


@pytest.mark.slow
def test_two_nodes_of_slurm_give_the_model_of_one_process(alone, cluster, tmp_path):
    two_processes = run_training(
        write_project(tmp_path / "project", make_dense_config()),
        PATH=cluster(srun=SRUN),
        SLURM_JOB_ID="17",
        SLURM_JOB_NUM_NODES="2",
        MASTER_PORT=find_free_port(),
    )
    assert re.search(r"\b10 rows .* = 2 processes x 5 .* x 1 ", two_processes.output)
    assert find_foreign_lines(two_processes.output) == []
    assert_same(two_processes.weights, alone)


@pytest.mark.slow
def test_an_error_on_two_nodes_is_an_error_of_one_line(cluster, tmp_path):
    project = write_project(tmp_path / "project", make_dense_config(), global_batch=5)
    result = start_training(project, PATH=cluster(srun=SRUN), SLURM_JOB_NUM_NODES="2", MASTER_PORT=find_free_port())
    assert result.returncode != 0
    assert re.fullmatch(r"train: train\.global_batch: .* got 5; .*\n", result.stderr), result.stderr


@pytest.mark.slow
def test_nodes_without_slurm_commands_are_an_error_that_names_srun(tmp_path):
    result = start_training(
        write_project(tmp_path / "project", make_dense_config()), SLURM_JOB_NUM_NODES="2", PATH=str(tmp_path)
    )
    assert result.returncode == 1
    assert re.fullmatch(r"train: .*srun.*\n", result.stderr), result.stderr


# DeepSpeed calls `ssh [options] host command` to get the address of the first host. It calls `pdsh [options] -w hosts
# command` to start the hosts, each with a new environment; %n is the number of the host.
SSH = (
    'while [ "${1#-}" != "$1" ]; do shift 2; done\nshift\n[ "$*" = "hostname -I" ] && exec echo 127.0.0.1\nexec "$@"\n'
)
PDSH = """
while [ "$1" != -w ]; do shift; done
hosts=$(echo "$2" | tr , ' '); shift 2; number=0
for host in $hosts; do
    env -i HOME="$HOME" PATH="$PATH" OMP_NUM_THREADS=1 sh -c "$(echo "$*" | sed "s/%n/$number/g")" & all="$all $!"
    number=$((number + 1))
done
for one in $all; do wait "$one" || failed=1; done
exit ${failed:-0}
"""


@pytest.mark.slow
@needs_compiler
@pytest.mark.skipif(torch.cuda.is_available(), reason="DeepSpeed's launcher gives its processes the GPUs")
def test_the_hosts_of_a_hostfile_give_the_model_of_one_process(alone, cluster, tmp_path):
    project = write_project(tmp_path / "project", make_dense_config(), deepspeed="zero2")
    (tmp_path / "hosts").write_text("one slots=1\ntwo slots=1\n")
    result = start_training(
        project,
        PATH=cluster(ssh=SSH, pdsh=PDSH),
        ALLOY_HOSTFILE=str(tmp_path / "hosts"),
        MASTER_PORT=find_free_port(),
        DS_ACCELERATOR="cpu",
        OMP_NUM_THREADS="1",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"\b10 rows .* = 2 processes x 5 .* x 1 ", result.stdout)
    assert_same(read_weights(project / "models/trained"), alone)


def test_the_script_for_slurm_is_valid_and_its_header_shows_how_to_submit_it():
    subprocess.run(["bash", "-n", str(SBATCH)], check=True)
    assert "#   sbatch profiles/slurm/train.sbatch " in SBATCH.read_text()
    assert "|| set -- dvc repro\n" in SBATCH.read_text()


def test_the_script_for_slurm_runs_its_arguments_in_the_project(tmp_path):
    env = make_environment(SLURM_SUBMIT_DIR=str(tmp_path), SLURM_CPUS_ON_NODE="16", SLURM_JOB_ID="17")
    command = ["sh", "-c", 'echo "$PWD $SRUN_CPUS_PER_TASK $1"; exit 3', "sh", "two words"]
    result = subprocess.run(["bash", str(SBATCH), *command], env=env, text=True, capture_output=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (3, f"{tmp_path} 16 two words\n", "")


@pytest.mark.slow
def test_the_script_for_slurm_is_requeued_when_its_command_has_ended(cluster, tmp_path):
    pid = tmp_path / "pid"
    path = cluster(
        scancel=f'echo "scancel $*" >>{tmp_path}/log\nkill -TERM "$(cat {pid})"\n',
        scontrol=f'echo "scontrol $*" >>{tmp_path}/log\n',
    )
    command = f"trap 'sleep 1; echo saved >>{tmp_path}/log; exit 1' TERM; echo $$ >{pid}; while :; do sleep 0.1; done"
    env = make_environment(PATH=path, SLURM_SUBMIT_DIR=str(tmp_path), SLURM_CPUS_ON_NODE="1", SLURM_JOB_ID="17")
    script = subprocess.Popen(["bash", str(SBATCH), "sh", "-c", command], env=env)
    while not (pid.exists() and pid.read_text().strip()):
        time.sleep(0.05)
    script.send_signal(signal.SIGUSR1)
    script.wait(timeout=300)
    log = (tmp_path / "log").read_text().splitlines()
    assert log == ["scancel --signal=TERM 17", "saved", "scontrol requeue 17"]
