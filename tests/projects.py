"""Project folders with a small random model, and their training as a user starts it: `python -m stages.train`."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from safetensors.torch import load_file
from transformers import PreTrainedConfig, Qwen3MoeConfig, set_seed
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from stages.schema import Scratch, Train
from stages.scratch import general_texts, new_config, new_model, new_tokenizer

ROOT = Path(__file__).parents[1]
COLOURS = ["red", "green", "blue", "white", "black", "brown", "grey", "pink"]
THINGS = ["door", "lamp", "lock", "chair", "table", "cup", "hat", "bag", "book", "shoe"]
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 256,
}
EXPERTS = {"moe_intermediate_size": 32, "num_experts": 8, "num_experts_per_tok": 2}
SCRATCH = Scratch(vocab_size=320, train=Train(lr=1e-3), **SIZES)
PROFILE = {"lr": 1.0e-2, "max_steps": 4, "global_batch": 4, "max_length": 64}
# What a launcher, DVC, Slurm or a test runner may have put into the environment of these tests.
FOREIGN = ("ACCELERATE_", "ALLOY_", "DS_", "DVC_", "MASTER_", "MKL_", "OMP_", "PYTEST_", "SLURM_", "TORCHELASTIC_")
FOREIGN_NAMES = {"LOCAL_RANK", "PYTHONPATH", "PYTHONWARNINGS", "RANK", "TQDM_DISABLE", "WORLD_SIZE"}


def chat(number: int) -> dict[str, Any]:
    """Return a row whose answer is longer for some than for others, as the weight of a process must not matter."""
    thing, colour = THINGS[number % len(THINGS)], COLOURS[number % len(COLOURS)]
    answer = f"The {thing} is {colour}" + f" and {colour}" * (number % 5) + "."
    return {
        "id": str(number),
        "source": "demo",
        "category": "customer" if number % 2 else "facts",
        "messages": [
            {"role": "user", "content": f"What colour is the {thing}?"},
            {"role": "assistant", "content": answer},
        ],
    }


ROWS = [chat(number) for number in range(40)]


def tokenizer(scratch: Scratch = SCRATCH):
    """Return a tokenizer learnt from `ROWS`."""
    return new_tokenizer(general_texts(ROWS), scratch)


def dense(scratch: Scratch = SCRATCH) -> PreTrainedConfig:
    """Return the configuration of a dense model, its embeddings tied."""
    return new_config(tokenizer(scratch), scratch)


def moe() -> PreTrainedConfig:
    """Return the configuration of a mixture of experts, its embeddings apart."""
    like = dense()
    ends = {"vocab_size": like.vocab_size, "eos_token_id": like.eos_token_id, "pad_token_id": like.pad_token_id}
    return Qwen3MoeConfig(**SIZES, **EXPERTS, **ends, bos_token_id=None, tie_word_embeddings=False)


def write_base(folder: Path, config: PreTrainedConfig, dtype: torch.dtype = torch.float32) -> None:
    """Put a model with random weights, the same every time, and its tokenizer in `folder`."""
    set_seed(0)
    model = new_model(config) if config.model_type == "qwen3" else AutoModelForCausalLM.from_config(config)
    model.to(dtype).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def write_project(folder: Path, config: PreTrainedConfig, dtype: torch.dtype = torch.float32, **train: Any) -> Path:
    """Make `folder` a project up to the stage `train`, whose section of the profile is `PROFILE` and `train`."""
    shutil.copytree(ROOT / "stages", folder / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "profiles/deepspeed", folder / "profiles/deepspeed")
    shutil.copy(ROOT / "dvc.yaml", folder)
    (folder / "params.yaml").write_text("profile: small\n")
    profile = {"model": {"hub": "nobody/small", "revision": "0" * 40}, "train": {**PROFILE, **train}}
    (folder / "profiles/small.yaml").write_text(yaml.safe_dump(profile))
    write_base(folder / "models/base", config, dtype)
    (folder / "data/mix").mkdir(parents=True)
    (folder / "data/mix/train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return folder


def environment(**extra: str) -> dict[str, str]:
    """Return a user's environment on a machine without GPU and network."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(FOREIGN) and name not in FOREIGN_NAMES
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "PATH": path, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", **extra}


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start_training(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Train in `folder` as a user would, and return how it ended."""
    command = [sys.executable, "-m", "stages.train"]
    return subprocess.run(
        command, cwd=folder, env=environment(**env), text=True, capture_output=True, check=False, timeout=300
    )


class Trained(NamedTuple):
    """A training that has ended well: its folder, loss curve, norms of the gradients by step, and saved weights."""

    folder: Path
    output: str
    losses: dict[tuple[int, str], float]
    norms: list[float]
    weights: dict[str, torch.Tensor]


def train(folder: Path, **env: str) -> Trained:
    """Train in `folder` and return what came of it."""
    done = start_training(folder, ALLOY_CHECKPOINT_SECONDS="0", **env)
    assert done.returncode == 0, done.stdout + done.stderr
    with (folder / "metrics/loss.csv").open() as file:
        losses = {(int(row["step"]), row["source"]): float(row["loss"]) for row in csv.DictReader(file)}
    (state,) = folder.glob(".dvc/tmp/alloy/train-*/checkpoint-*/trainer_state.json")  # of the last step but one
    norms = [row["grad_norm"] for row in json.loads(state.read_text())["log_history"] if "grad_norm" in row]
    return Trained(folder, done.stdout + done.stderr, losses, norms, saved_weights(folder / "models/trained"))


def saved_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the tensors that a model's folder holds, by name."""
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}
