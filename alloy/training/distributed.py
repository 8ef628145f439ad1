"""Start the processes of a training run. Their number is not a param: the experiment is the same on one GPU or on 32.

A stage that was started as one process starts itself again as several, if the environment or the number of GPUs
requires it:

    SLURM_JOB_NUM_NODES > 1   set by Slurm: srun starts torchrun on every node of the allocation
    ALLOY_HOSTFILE=<file>     the DeepSpeed launcher, on the hosts that the file names
    ALLOY_PROCESSES=<n>       torchrun, n processes on this machine (or per node); default: one per visible GPU
    torchrun -m stages.train  started by the user: no other processes are started

ALLOY_DEVICE_ROWS=<n> sets the rows per device batch (default: 1; on a CPU up to 2,048 tokens). Gradients are
accumulated over the rest of the process's share of the global batch.
"""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from alloy.core.dvc import record_dvc_process
from alloy.core.files import InputError

DEFAULT_PORT = "29500"
SRUN_OPTIONS = ("--ntasks-per-node=1", "--kill-on-bad-exit=1")
SHUTDOWN_TIMEOUT = "--shutdown-timeout=600"  # seconds, enough to save a last checkpoint


def read_count(env: Mapping[str, str], name: str, default: int) -> int:
    """Return the integer of at least 1 in an environment variable, or the default."""
    text = env.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{name}: expected an integer of at least 1, got '{text}'; change or unset it")
    return int(text)


def get_world_size() -> int:
    """Return the number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def get_topology() -> tuple[int, str]:
    """Return the settings that can change a result by rounding: number of processes, rows per device batch."""
    return get_world_size(), os.environ.get("ALLOY_DEVICE_ROWS", "")


def is_main() -> bool:
    """Return whether this is rank 0, the process that prints and writes."""
    return os.environ.get("RANK", "0") == "0"


def build_launch_command(module: str, env: Mapping[str, str], gpus: int, host: str) -> list[str] | None:
    """Return the command that starts `module` as several processes, or None if this process runs it alone.

    `gpus` is the number of visible GPUs of this machine, `host` its name.
    """
    if "RANK" in env:
        return None
    processes = read_count(env, "ALLOY_PROCESSES", max(gpus, 1))
    torchrun = [sys.executable, "-m", "alloy.training.distributed", f"--nproc-per-node={processes}", SHUTDOWN_TIMEOUT]
    nodes = read_count(env, "SLURM_JOB_NUM_NODES", 1)
    if nodes > 1:
        rendezvous = [
            f"--nnodes={nodes}",
            "--rdzv-backend=c10d",
            f"--rdzv-endpoint={host}:{env.get('MASTER_PORT', DEFAULT_PORT)}",
            f"--rdzv-id={env.get('SLURM_JOB_ID', 'alloy')}",
        ]
        return ["srun", f"--nodes={nodes}", *SRUN_OPTIONS, *torchrun, *rendezvous, "-m", module]
    if hostfile := env.get("ALLOY_HOSTFILE"):
        if not os.path.isfile(hostfile):
            raise InputError(f"ALLOY_HOSTFILE: {hostfile}: no such file; write one line `<host> slots=<gpus>` per host")
        options = [
            f"--hostfile={hostfile}",
            f"--master_port={env.get('MASTER_PORT', DEFAULT_PORT)}",
            "--log_level=critical",
        ]
        return [sys.executable, "-m", "deepspeed.launcher.runner", *options, "--module", module]
    if processes > 1:
        return [*torchrun, "--standalone", "-m", module]
    return None


def launch_processes(module: str, *, gpu: bool) -> None:
    """Replace this process by the launcher of `module`, if it needs several processes; otherwise return.

    With `gpu`, raise `InputError` if there is no GPU.
    """
    import torch

    gpus = torch.cuda.device_count()
    if gpu and not gpus:
        raise InputError(
            "train.gpu: the profile needs a GPU, but torch finds none; use a machine with a GPU, or another `profile`"
        )
    if "RANK" not in os.environ:
        record_dvc_process()
    command = build_launch_command(module, os.environ, gpus, socket.gethostname())
    if command is not None:
        processes = read_count(os.environ, "ALLOY_PROCESSES", max(gpus, 1))
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
        try:
            os.execvp(command[0], command)  # not a child process: a signal to this process must reach the training
        except FileNotFoundError:
            raise InputError(
                f"SLURM_JOB_NUM_NODES: the command {command[0]}, which starts the training on all nodes, is not "
                "installed; run on a node with Slurm's commands, or unset the variable"
            ) from None
    if gpus > 1 and "RANK" not in os.environ:  # ALLOY_PROCESSES=1: the Trainer would use all visible GPUs
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def split_global_batch(global_batch: int, key: str = "train", default: int = 1) -> tuple[int, int]:
    """Return (rows per device batch, accumulation steps) for `global_batch` rows per step; `key` is the section.

    Example: 16 rows over 2 processes with 4 rows per device batch take 2 accumulation steps: 16 = 2 * 4 * 2.
    """
    rows = read_count(os.environ, "ALLOY_DEVICE_ROWS", default)
    steps, rest = divmod(global_batch, rows * get_world_size())
    if rest or not steps:
        raise InputError(
            f"{key}.global_batch: expected a multiple of {rows * get_world_size()} ({get_world_size()} process(es) x "
            f"{rows} row(s)), got {global_batch}; change {key}.global_batch, ALLOY_PROCESSES or ALLOY_DEVICE_ROWS"
        )
    return rows, steps


def set_up_single_process() -> None:
    """Set the variables of a process group of one process; without them and a launcher, DeepSpeed would use MPI."""
    with socket.socket() as free_socket:
        free_socket.bind(("127.0.0.1", 0))
        port = str(free_socket.getsockname()[1])
    for name, value in (
        ("RANK", "0"),
        ("LOCAL_RANK", "0"),
        ("WORLD_SIZE", "1"),
        ("MASTER_ADDR", "127.0.0.1"),
        ("MASTER_PORT", port),
        ("OMP_NUM_THREADS", str(os.cpu_count() or 1)),  # otherwise accelerate warns that it chose a number
    ):
        os.environ.setdefault(name, value)


def broadcast_from_main(value: Any) -> Any:  # noqa: ANN401 (any object)
    """Return the `value` of rank 0 in every process."""
    if get_world_size() == 1:
        return value
    from torch.distributed import broadcast_object_list

    values = [value]
    broadcast_object_list(values)
    return values[0]


def leave_process_group() -> None:
    """Wait for the other processes, then leave the group: an earlier exit could stop those that still write."""
    from torch.distributed import barrier, destroy_process_group, is_initialized

    if is_initialized():
        barrier()
        destroy_process_group()


def run_torchrun(arguments: list[str]) -> None:
    """Run torchrun, and exit with the code of the process that failed, which has printed why."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # otherwise each node logs closed connections
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError

    logging.disable(logging.CRITICAL)  # of the launcher only
    try:
        try:
            run.run(run.parse_args(arguments))
        except RendezvousError as error:
            time.sleep(10)  # if another node has failed, it prints why, and srun ends this one
            sys.exit(f"launch: the nodes cannot connect, or one has stopped: {error}")
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        code = failure.exitcode
        if code < 0:  # it was killed and could print nothing
            stage = arguments[-1].rpartition(".")[2]
            print(
                f"{stage}: process {rank} was killed ({signal.Signals(-code).name}), most likely out of memory; "
                "`dvc repro` continues from the last checkpoint",
                file=sys.stderr,
            )
        sys.exit(code if code > 0 else 128 - code)
    except SignalException as error:
        sys.exit(128 + error.sigval)


if __name__ == "__main__":
    run_torchrun(sys.argv[1:])
