"""Write project folders with a small random model, and train it with `python -m stages.train`."""

import csv
import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GenerationConfig, Qwen3MoeConfig, set_seed

from alloy.core.files import write_json, write_jsonl
from alloy.formats.taxonomy import Taxonomy
from alloy.training.settings import Scratch
from alloy.training.tiny_qwen import new_config
from tiny_model import ROWS, SCRATCH, make_tokenizer

ROOT = Path(__file__).parents[2]
# 40 rows make about 16 packed rows, so four steps are more than two epochs.
TRAIN = {"lr": 1.0e-2, "max_steps": 4, "global_batch": 10, "max_length": 64}
# A task of two levels, for labeled comments.
LABELS = Taxonomy(
    ("L1", "L2"),
    {("Setup", "Pairing"): "", ("Setup", 'The "manual"'): "", ("Preis", "Zu teuer \\ fair"): "", ("価格", "安い"): ""},
)
SECTIONS: dict = {"harness": {"batch_size": 4}, "mmlu": {}, "ifeval": {}, "chat": {}, "general": [], "general_loss": {}}
TASK = {"levels": ["L1", "L2"], "has_content": True, "emotions": ["anger", "joy"], "most_segments": 2}
# Variables that a launcher, DVC, Slurm or a test runner may have set.
FOREIGN = ("ACCELERATE_", "ALLOY_", "DS_", "DVC_", "LOCAL_", "MASTER_", "MKL_", "OMP_", "SLURM_", "TORCHELASTIC_")
FOREIGN_NAMES = {"PYTHONPATH", "PYTHONWARNINGS", "RANK", "TQDM_DISABLE", "WORLD_SIZE"}

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="DeepSpeed compiles a part of itself with g++")


def copy_code(folder: Path) -> None:
    """Copy the code that stages need into the project `folder`."""
    for name in ("alloy", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))


def make_uneven_chat(number: int) -> dict:
    """Return a chat. The longest answers are four times as long as the shortest, so processes have unequal work."""
    question, answer = ROWS[number]["messages"]
    longer = " ".join([answer["content"]] * (1 + number % 4))
    return {**ROWS[number], "messages": [question, {**answer, "content": longer}]}


def make_dense_config(scratch=SCRATCH):
    """Return the configuration of a dense model with tied embeddings."""
    return new_config(make_tokenizer(), scratch)


def make_moe_config():
    """Return the configuration of a mixture of experts with untied embeddings."""
    like = make_dense_config().to_dict()
    kept = {key: like[key] for key in like if key in Scratch.model_fields or key.endswith("_token_id")}
    experts = {"moe_intermediate_size": 32, "num_experts": 8, "num_experts_per_tok": 2}
    return Qwen3MoeConfig(**kept, **experts, tie_word_embeddings=False)


def write_project(folder: Path, config, dtype=torch.float32, **train) -> Path:
    """Write a project to `folder` in which the stages before `train` have run; its settings are `TRAIN` and `train`."""
    copy_code(folder)
    shutil.copytree(ROOT / "profiles/deepspeed", folder / "profiles/deepspeed")
    shutil.copy(ROOT / "dvc.yaml", folder)
    shutil.copy(ROOT / "versions.yaml", folder)
    (folder / "params.yaml").write_text("profile: small\n")
    profile = {
        "model": {"hub": "nobody/small", "revision": "0" * 40},
        "train": {**TRAIN, **train},
        "infer": {},
        **SECTIONS,
    }
    (folder / "profiles/small.yaml").write_text(yaml.safe_dump(profile))
    set_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.generation_config = GenerationConfig(do_sample=False, eos_token_id=config.eos_token_id)
    model.save_pretrained(folder / "models/base")
    make_tokenizer().save_pretrained(folder / "models/base")
    (folder / "data/mix").mkdir(parents=True)
    rows = (json.dumps(make_uneven_chat(number)) + "\n" for number in range(len(ROWS)))
    (folder / "data/mix/train.jsonl").write_text("".join(rows))
    return folder


def write_labeling_project(folder: Path, comments: list[str], task=TASK, **infer) -> Path:
    """Write a project to `folder` in which the stages before `infer` have run, with a small random base model."""
    copy_code(folder)
    shutil.copy(ROOT / "dvc.yaml", folder)
    shutil.copy(ROOT / "versions.yaml", folder)
    (folder / "params.yaml").write_text("profile: small\n")
    profile = {
        "model": {"hub": "nobody/small", "revision": "0" * 40},
        "train": {"lr": 1.0e-4},
        "infer": {"batch_size": 4, "max_new_tokens": 300, **infer},
        **SECTIONS,
    }
    (folder / "profiles").mkdir()
    (folder / "profiles/small.yaml").write_text(yaml.safe_dump(profile))
    config = make_dense_config()
    config.initializer_range, config.tie_word_embeddings, config.max_position_embeddings = 0.4, False, 4096
    config.head_dim = 32  # the smallest that vLLM supports on a CPU
    set_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    model.generation_config = GenerationConfig(do_sample=False, eos_token_id=config.eos_token_id)
    model.save_pretrained(folder / "models/base")
    make_tokenizer().save_pretrained(folder / "models/base")
    split = folder / "data/split"
    write_json(split / "task.json", task)
    write_json(split / "taxonomy.json", LABELS.to_rows())
    rows = [{"id": f"c{number}", "text": text, "segments": []} for number, text in enumerate(comments)]
    write_jsonl(split / "test.jsonl", rows)
    write_jsonl(split / "train.jsonl", rows[:1])
    return folder


def start_history(folder: Path) -> None:
    """Make `folder` a git repository with a commit: DVC needs a repository, and lm-eval reads the commit."""
    author = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], [*author, "commit", "-q", "--allow-empty", "-m", "start"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


def put_infinity_into_base(project: Path) -> None:
    """Make the loss of the first step NaN."""
    weights = read_weights(project / "models/base")
    weights["model.norm.weight"][0] = torch.inf
    save_file(weights, project / "models/base/model.safetensors", {"format": "pt"})


def make_environment(**extra: str) -> dict[str, str]:
    """Return the environment variables of a user in this virtual environment, without GPU and network."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(FOREIGN) and name not in FOREIGN_NAMES
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "PATH": path, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", **extra}


def find_free_port() -> str:
    """Return a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def start_training(folder: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run the training in `folder` as a user does; return the completed process."""
    command = [sys.executable, "-m", "stages.train"]
    return subprocess.run(
        command, cwd=folder, env=make_environment(**env), text=True, capture_output=True, check=False, timeout=300
    )


@dataclass(frozen=True)
class Trained:
    """The result of a training: `losses` by (step, category), `weights` by name."""

    folder: Path
    output: str
    losses: dict[tuple[int, str], float]
    weights: dict[str, torch.Tensor]


def run_training(folder: Path, **env: str) -> Trained:
    """Train in `folder`, and return the result."""
    result = start_training(folder, **env)
    assert result.returncode == 0, result.stdout + result.stderr
    with (folder / "metrics/loss.csv").open() as file:
        losses = {(int(row["step"]), row["category"]): float(row["loss"]) for row in csv.DictReader(file)}
    weights = read_weights(folder / "models/trained")
    return Trained(folder, result.stdout + result.stderr, losses, weights)


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the tensors in a model's folder."""
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def find_foreign_lines(output: str) -> list[str]:
    """Return the lines that the stage itself did not print."""
    return [line for line in output.splitlines() if not line.startswith("train: ")]
