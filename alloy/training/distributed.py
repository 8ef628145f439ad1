"""Over which processes a training runs. Topology is no param: the same experiment on one GPU or on 32.

Where a stage finds itself alone and more is to be had, it starts itself again as many processes:

    SLURM_JOB_NUM_NODES > 1   set by Slurm: torchrun on every node of the allocation, by srun
    ALLOY_HOSTFILE=<file>     the DeepSpeed launcher, on the hosts that the file names
    ALLOY_PROCESSES=<n>       torchrun, n processes on this machine (each, under Slurm); without it, one a visible GPU
    torchrun -m stages.train  started by hand: nothing is started again

ALLOY_DEVICE_ROWS=<n> is how many rows a process takes at once (1; on a CPU up to 2,048 tokens); the rest of its share
of the global batch is accumulated.
"""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from alloy.core.dvc import remember_dvc
from alloy.core.files import InputError

PORT = "29500"
SRUN = ("--ntasks-per-node=1", "--kill-on-bad-exit=1")
PATIENCE = "--shutdown-timeout=600"  # seconds, for a last checkpoint


def count(env: Mapping[str, str], name: str, default: int) -> int:
    """Return a count of at least 1 from the environment."""
    text = env.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{name}: '{text}' is no count; give 1 or more, or unset it")
    return int(text)


def world() -> int:
    """Return the number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def topology() -> tuple[int, str]:
    """Return what of the topology changes the bytes of a result: processes, and rows that one takes at once."""
    return world(), os.environ.get("ALLOY_DEVICE_ROWS", "")


def is_main() -> bool:
    """Say whether this process is the one that writes."""
    return os.environ.get("RANK", "0") == "0"


def command(module: str, env: Mapping[str, str], gpus: int, host: str) -> list[str] | None:
    """Return what starts `module` as many processes, or None where this process is to do it alone.

    `gpus` are those visible on this machine, `host` is its name.
    """
    if "RANK" in env:
        return None
    processes = count(env, "ALLOY_PROCESSES", max(gpus, 1))
    torchrun = [sys.executable, "-m", "alloy.training.distributed", f"--nproc-per-node={processes}", PATIENCE]
    nodes = count(env, "SLURM_JOB_NUM_NODES", 1)
    if nodes > 1:
        together = [
            f"--nnodes={nodes}",
            "--rdzv-backend=c10d",
            f"--rdzv-endpoint={host}:{env.get('MASTER_PORT', PORT)}",
            f"--rdzv-id={env.get('SLURM_JOB_ID', 'alloy')}",
        ]
        return ["srun", f"--nodes={nodes}", *SRUN, *torchrun, *together, "-m", module]
    if hostfile := env.get("ALLOY_HOSTFILE"):
        if not os.path.isfile(hostfile):
            raise InputError(f"ALLOY_HOSTFILE: {hostfile}: no such file; write a line `<host> slots=<gpus>` for each")
        where = [f"--hostfile={hostfile}", f"--master_port={env.get('MASTER_PORT', PORT)}", "--log_level=critical"]
        return [sys.executable, "-m", "deepspeed.launcher.runner", *where, "--module", module]
    if processes > 1:
        return [*torchrun, "--standalone", "-m", module]
    return None


def spread(module: str, *, gpu: bool) -> None:
    """Become the launcher of `module` where it is to run as many processes; return where this one is to go on.

    `gpu` refuses to go on without one.
    """
    import torch

    gpus = torch.cuda.device_count()
    if gpu and not gpus:
        raise InputError(
            "train.gpu: the profile wants a GPU and torch sees none; take a machine with one, or another `profile`"
        )
    if "RANK" not in os.environ:
        remember_dvc()
    wanted = command(module, os.environ, gpus, socket.gethostname())
    if wanted is not None:
        processes = count(os.environ, "ALLOY_PROCESSES", max(gpus, 1))
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
        try:
            os.execvp(wanted[0], wanted)  # not a child: a signal to this process must reach the training
        except FileNotFoundError:
            raise InputError(
                f"SLURM_JOB_NUM_NODES: no {wanted[0]} to start the other nodes with; run this where Slurm's commands "
                "are, or unset it"
            ) from None
    if gpus > 1 and "RANK" not in os.environ:  # ALLOY_PROCESSES=1: the Trainer would spread over all that it sees
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def accumulation(global_batch: int, key: str = "train", default: int = 1) -> tuple[int, int]:
    """Return (rows a process takes at once, how often it accumulates) for `global_batch` rows a step."""
    rows = count(os.environ, "ALLOY_DEVICE_ROWS", default)
    steps, rest = divmod(global_batch, rows * world())
    if rest or not steps:
        raise InputError(
            f"{key}.global_batch: {global_batch} rows do not divide among {world()} processes of {rows} row(s) at "
            "once; change ALLOY_PROCESSES or ALLOY_DEVICE_ROWS, or the batch"
        )
    return rows, steps


def alone() -> None:
    """Tell DeepSpeed that this one process is the whole world; without a launcher it would ask MPI."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    for name, value in (
        ("RANK", "0"),
        ("LOCAL_RANK", "0"),
        ("WORLD_SIZE", "1"),
        ("MASTER_ADDR", "127.0.0.1"),
        ("MASTER_PORT", port),
        ("OMP_NUM_THREADS", str(os.cpu_count() or 1)),  # else accelerate says that it chose a number
    ):
        os.environ.setdefault(name, value)


def share(value: Any) -> Any:  # noqa: ANN401 (whatever it is)
    """Return rank 0's `value` in every process."""
    if world() == 1:
        return value
    from torch.distributed import broadcast_object_list

    values = [value]
    broadcast_object_list(values)
    return values[0]


def leave() -> None:
    """Wait for the other processes, and part: one that goes while others still write may take them with it."""
    from torch.distributed import barrier, destroy_process_group, is_initialized

    if is_initialized():
        barrier()
        destroy_process_group()


def torchrun(arguments: list[str]) -> None:
    """Do what torchrun does, and end as the processes end: they have said why."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else each node tells that another has hung up
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError

    logging.disable(logging.CRITICAL)  # this process's alone
    try:
        try:
            run.run(run.parse_args(arguments))
        except RendezvousError as error:
            time.sleep(10)  # another node has failed and says why; srun then ends this one
            sys.exit(f"launch: the nodes have not found one another, or one is gone: {error}")
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        code = failure.exitcode
        if code < 0:  # it could not say it itself
            stage = arguments[-1].rpartition(".")[2]
            print(
                f"{stage}: process {rank} was ended by {signal.Signals(-code).name}, by which Linux frees memory; "
                "`dvc repro` goes on from the last checkpoint",
                file=sys.stderr,
            )
        sys.exit(code if code > 0 else 128 - code)
    except SignalException as error:
        sys.exit(128 + error.sigval)


if __name__ == "__main__":
    torchrun(sys.argv[1:])
