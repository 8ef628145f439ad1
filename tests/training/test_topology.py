"""The number of processes does not change the model: one process or two, DDP or ZeRO give the same weights."""

import hashlib
import re
import signal
import subprocess
import sys
import time
from functools import cache

import psutil
import pytest
import torch
import yaml
from peft import PeftModel
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from alloy.training.settings import Model, Scratch, Train
from projects import (
    ROOT,
    Trained,
    find_foreign_lines,
    make_dense_config,
    make_environment,
    make_moe_config,
    needs_compiler,
    put_infinity_into_base,
    read_weights,
    run_training,
    start_training,
    write_project,
)
from tiny_model import make_tokenizer

pytestmark = pytest.mark.slow

ARCHITECTURES = {"dense": make_dense_config, "mixture": make_moe_config}
# All pairs of architecture, method and sharding.
WAYS = [
    pytest.param("dense", "full", None, id="dense-full-ddp"),
    pytest.param("dense", "lora", "zero2", marks=needs_compiler, id="dense-lora-zero2"),
    pytest.param("dense", "full", "zero3", marks=needs_compiler, id="dense-full-zero3"),
    pytest.param("mixture", "lora", None, id="mixture-lora-ddp"),
    pytest.param("mixture", "full", "zero2", marks=needs_compiler, id="mixture-full-zero2"),
    pytest.param("mixture", "lora", "zero3", marks=needs_compiler, id="mixture-lora-zero3"),
]
# Sums in another order: weights differed by up to 2e-7, while training changes them by 2e-2 and more.
CLOSE = {"atol": 1e-6, "rtol": 0}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a cached function that trains with an architecture, method, sharding and number of processes."""

    @cache
    def once(arch: str, method: str, sharding: str | None = None, processes: int = 1, **more) -> Trained:
        folder = tmp_path_factory.mktemp(f"{arch}-{method}-{sharding}-{processes}")
        write_project(folder, ARCHITECTURES[arch](), method=method, deepspeed=sharding, **more)
        return run_training(folder, ALLOY_PROCESSES=str(processes))

    return once


def assert_alike(result: Trained, expected: Trained) -> None:
    assert result.losses.keys() == expected.losses.keys()
    assert result.losses == pytest.approx(expected.losses, abs=1.1e-4)  # rounded to four digits
    assert result.weights.keys() == expected.weights.keys()
    for name, weight in result.weights.items():
        torch.testing.assert_close(
            weight, expected.weights[name], **CLOSE, msg=lambda message, name=name: f"{name}: {message}"
        )


@pytest.mark.parametrize(("arch", "method", "sharding"), WAYS)
def test_two_processes_give_the_same_model_as_one(trained, arch, method, sharding):
    one_process, two_processes = trained(arch, method), trained(arch, method, sharding, 2)
    assert re.search(r"\b10 rows .* = 1 process x 10 .* x 1 ", one_process.output)
    assert re.search(r"\b10 rows .* = 2 processes x 5 .* x 1 ", two_processes.output)
    assert_alike(two_processes, one_process)
    base = read_weights(one_process.folder / "models/base")
    moved = {name: (weight - base[name]).abs().max().item() for name, weight in one_process.weights.items()}
    adapted = {name for name, weight in base.items() if method == "full" or (weight.ndim == 2 and "layers" in name)}
    assert {name for name in moved if moved[name]} == adapted
    assert max(moved.values()) > 1e4 * CLOSE["atol"]
    assert find_foreign_lines(two_processes.output) == find_foreign_lines(one_process.output) == []


@needs_compiler
def test_the_kl_penalty_has_the_same_effect_with_two_processes_as_with_one(trained):
    one_process, two_processes = (
        trained("dense", "lora", kl_weight=0.5),
        trained("dense", "lora", "zero2", 2, kl_weight=0.5),
    )
    assert_alike(two_processes, one_process)
    without_penalty = trained("dense", "lora").weights
    assert (
        max((weight - without_penalty[name]).abs().max() for name, weight in one_process.weights.items())
        > 100 * CLOSE["atol"]
    )


def test_several_rows_at_a_time_give_the_model_of_one_row_at_a_time(trained, tmp_path):
    all_rows = trained("dense", "full")
    one_row = run_training(write_project(tmp_path / "project", make_dense_config()), ALLOY_DEVICE_ROWS="1")
    assert re.search(r" = 1 process x 1 .* x 10 ", one_row.output)
    assert_alike(all_rows, one_row)


@pytest.mark.parametrize(("arch", "method", "sharding"), WAYS)
def test_two_processes_write_an_ordinary_folder(trained, arch, method, sharding):
    project = trained(arch, method, sharding, 2).folder
    folder, base = project / "models/trained", project / "models/base"
    assert {path.name for path in folder.iterdir()} == {path.name for path in base.iterdir()} | {"README.md"}
    model = AutoModelForCausalLM.from_pretrained(folder)
    tied = arch == "dense"
    assert torch.equal(model.lm_head.weight, model.model.embed_tokens.weight) == tied
    assert ("lm_head.weight" in read_weights(folder)) != tied
    assert read_weights(folder).keys() == read_weights(base).keys()
    config = AutoConfig.from_pretrained(folder)
    assert config.use_cache
    assert config.to_dict() == {**AutoConfig.from_pretrained(base).to_dict(), "_name_or_path": config._name_or_path}
    assert GenerationConfig.from_pretrained(folder).eos_token_id == config.eos_token_id
    assert AutoTokenizer.from_pretrained(folder).chat_template == make_tokenizer().chat_template
    card = (folder / "README.md").read_text()
    mix = hashlib.sha256((project / "data/mix/train.jsonl").read_bytes()).hexdigest()
    assert f"| `data/mix/train.jsonl` | `{mix}` |" in card
    assert re.search(r"\| `models/base` \| `[0-9a-f]{64}` \|", card)


@needs_compiler
def test_an_unmerged_adapter_names_its_base_and_no_path_of_the_machine(trained, tmp_path, monkeypatch):
    project = write_project(
        tmp_path / "project", make_dense_config(), method="lora", lora={"merge": False}, deepspeed="zero3"
    )
    result = start_training(project, ALLOY_PROCESSES="2")
    assert result.returncode == 0, result.stderr
    folder = project / "models/trained"
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "README.md"} <= {
        path.name for path in folder.iterdir()
    }
    assert not any(str(tmp_path).encode() in path.read_bytes() for path in folder.iterdir())
    monkeypatch.chdir(project)
    model = AutoModelForCausalLM.from_pretrained("models/trained")
    assert model.peft_config["default"].base_model_name_or_path == "models/base"
    merged = trained("dense", "lora").weights
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("models/base"), "models/trained")
    for name, weight in plain.merge_and_unload().state_dict().items():
        if name in merged:
            torch.testing.assert_close(weight, merged[name], **CLOSE)


def shrink_config(hub):
    """Return a small version of the configuration of a model from the hub."""
    config = AutoConfig.from_pretrained(ROOT / f"tests/configs/{hub.rpartition('/')[2].lower()}.json")
    for name, value in make_dense_config().to_dict().items():
        if (name in Scratch.model_fields and name != "train") or name.endswith("_token_id"):
            setattr(config, name, value)
    if hasattr(config, "num_experts"):
        config.num_experts, config.moe_intermediate_size = 16, 32
    return type(config)(**{**config.to_dict(), "layer_types": None})


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.stem, marks=needs_compiler if Train.load(path.stem, ROOT).deepspeed else ())
        for path in sorted(ROOT.glob("profiles/*.yaml"))
        if path.stem not in ("demo", "smoke")  # `make repro` and tests/pipeline/test_pipeline.py run these
    ],
)
def test_every_shipped_profile_trains(tmp_path, name):
    model = Model.load(name, ROOT)
    settings = yaml.safe_load((ROOT / f"profiles/{name}.yaml").read_text())["train"]
    settings.pop("epochs", None)
    # Changes for this machine and these rows.
    settings |= {"gpu": False, "liger": False, "max_length": 64, "global_batch": 4, "max_steps": 2}
    config = (
        shrink_config(model.hub)
        if model.hub
        else make_dense_config(model.scratch)
        if model.scratch
        else make_dense_config()
    )
    dtype = torch.bfloat16 if model.hub else torch.float32
    project = write_project(tmp_path / "project", config, dtype, **settings)
    after = run_training(project, ALLOY_PROCESSES="2" if settings.get("deepspeed") else "1")
    assert {step for step, _ in after.losses} == {1, 2}
    assert {weight.dtype for weight in after.weights.values()} == {dtype}
    assert after.weights.keys() == read_weights(project / "models/base").keys()
    assert AutoConfig.from_pretrained(project / "models/trained").dtype == dtype
    assert find_foreign_lines(after.output) == []


@pytest.mark.parametrize(
    ("changes", "spoil", "line"),
    [
        ({}, put_infinity_into_base, r".*\b(nan|inf) in step 1;.*\btrain\.lr.*"),
        ({"global_batch": 5}, None, r"train\.global_batch: .* got 5; .*"),
    ],
    ids=["infinite", "no-divisor"],
)
def test_an_error_in_two_processes_is_an_error_of_one_line_and_leaves_no_model(tmp_path, changes, spoil, line):
    project = write_project(tmp_path / "project", make_dense_config(), **changes)
    if spoil:
        spoil(project)
    result = start_training(project, ALLOY_PROCESSES="2")
    assert result.returncode == 1
    assert re.fullmatch(f"train: {line}\n", result.stderr), result.stderr
    assert find_foreign_lines(result.stdout) == []
    assert [path.name for path in (project / "models").iterdir()] == ["base"]


def test_a_killed_process_ends_all_and_one_line_names_the_signal(tmp_path):
    project = write_project(tmp_path / "project", make_dense_config(), max_steps=100_000)
    env = make_environment(ALLOY_PROCESSES="2", ALLOY_CHECKPOINT_SECONDS="0")
    started = subprocess.Popen(
        [sys.executable, "-m", "stages.train"],
        cwd=project,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while started.poll() is None and not list(project.glob(".dvc/tmp/alloy/train-*/checkpoint-*/complete")):
        time.sleep(0.1)
    family = psutil.Process(started.pid).children(recursive=True)
    (second,) = (process for process in family if process.environ().get("RANK") == "1")
    second.send_signal(signal.SIGKILL)
    _, output = started.communicate(timeout=300)
    assert started.returncode == 128 + signal.SIGKILL
    assert re.fullmatch(r"train: process 1 .*SIGKILL.*\n", output), output
    assert not any(process.is_running() for process in family)
