"""The estimates of parameters, FLOPs and memory agree with published numbers and with what PyTorch counts."""

import json
import re
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM, Qwen3Config, Qwen3MoeConfig

from alloy.commands.cost import main
from alloy.training.cost import (
    COMPLETION_SHARE,
    GIB,
    count_parameters,
    count_training_flops,
    estimate_memory,
    find_peak_flops,
    format_memory,
    make_empty_model,
)
from alloy.training.lora import attach_adapter
from alloy.training.optimizer import make_muon
from alloy.training.settings import DeepSpeed, Lora, Method, Model, Optimizer, Train

ROOT = Path(__file__).parents[2]
SIZES = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "attn_implementation": "eager",
}
LENGTH = 128


def make_dense_config(layers=2, **changes):
    return Qwen3Config(**{**SIZES, "tie_word_embeddings": True, "num_hidden_layers": layers, **changes})


def make_moe_config(layers=2, **changes):
    experts = {"moe_intermediate_size": 96, "num_experts": 8, "num_experts_per_tok": 2}
    return Qwen3MoeConfig(**{**SIZES, **experts, "num_hidden_layers": layers, **changes})


def read_published_config(name):
    return AutoConfig.from_pretrained(ROOT / f"tests/configs/{name}.json")


def build_model(config, **kwargs):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, **kwargs)


@pytest.mark.parametrize(
    ("name", "total", "active"),
    [
        ("qwen3-0.6b", 596_049_920, 596_049_920),
        ("qwen3-8b", 8_190_735_360, 8_190_735_360),
        ("qwen3-30b-a3b", 30_532_122_624, 3_353_032_704),
    ],
)
def test_parameters_are_the_published_ones(name, total, active):
    config = read_published_config(name)
    counted = count_parameters(config)
    assert counted.total == total
    ends = counted.head * (1 if config.tie_word_embeddings else 2)
    assert counted.body_active + ends == active
    assert counted.head == config.vocab_size * config.hidden_size


def test_counting_takes_no_memory_and_does_not_change_the_configuration():
    config = read_published_config("qwen3-30b-a3b")
    before = config.to_dict()
    assert {p.device.type for p in make_empty_model(config).parameters()} == {"meta"}
    assert config.to_dict() == before


def count_torch_flops(config, method):
    """Return (FLOPs that PyTorch counts for an example of LENGTH tokens, a quarter with a loss; size of the norms)."""
    model = (
        build_model(config, experts_implementation="eager") if hasattr(config, "num_experts") else build_model(config)
    )
    inputs = {"input_ids": torch.randint(0, config.vocab_size, (1, LENGTH))}
    if method is Method.lora:  # frozen weights, with an adapter that is too small to count
        model.requires_grad_(False)
        inputs = {"inputs_embeds": model.get_input_embeddings()(inputs["input_ids"]).requires_grad_()}
    with FlopCounterMode(display=False) as counter:
        model(**inputs, logits_to_keep=LENGTH // 4, use_cache=False).logits.sum().backward()
    return counter.get_total_flops(), sum(p.numel() for p in model.parameters() if p.ndim == 1)


@pytest.mark.parametrize("method", list(Method))
@pytest.mark.parametrize("config", [make_dense_config(), make_moe_config()], ids=["dense", "mixture"])
def test_flops_match_the_count_of_torch(config, method):
    counted, norms = count_torch_flops(config, method)
    estimated = count_training_flops(config, LENGTH, LENGTH**2, LENGTH // 4, method)
    # The counter only counts matrix products, so not the scaling by the weights of RMSNorm. Eager attention computes
    # the whole square of scores; a causal model needs half of it.
    estimated -= (6 if method is Method.full else 4) * norms * LENGTH
    half = 3 * 2 * LENGTH**2 * 4 * 32 * config.num_hidden_layers
    assert estimated + half == counted


def test_flops_grow_with_tokens_squares_and_completions_separately():
    flops = partial(count_training_flops, read_published_config("qwen3-8b"), method=Method.full)
    assert flops(tokens=2, squares=2, completions=2) == 2 * flops(tokens=1, squares=1, completions=1)
    assert flops(tokens=1, squares=1, completions=0) < flops(tokens=1, squares=1, completions=1)
    # Attention's share in a single example of 4,096 tokens: half the square is about a 24th of the layers' work.
    share = flops(tokens=0, squares=4096**2, completions=0) / flops(tokens=4096, squares=0, completions=0)
    assert share == pytest.approx(6 * 4096 * 32 * 128 * 36 / (6 * 6_946_075_648))


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989.4e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 NVL", 835e12),
        ("NVIDIA H200", 989.4e12),
        ("NVIDIA B200", 2250e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA A100 80GB PCIe", 312e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA A10G", 70e12),
        ("NVIDIA GeForce RTX 4090", 165e12),
    ],
)
def test_the_peak_of_a_gpu_is_known_by_its_name(name, peak):
    assert find_peak_flops(name) == peak


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA L40",
        "NVIDIA A10",
        "NVIDIA H20",
        "NVIDIA GB200",
        "NVIDIA GH200 480GB",
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "AMD Instinct MI300X",
        "",
    ],
)
def test_an_unknown_gpu_has_no_peak(name):
    assert find_peak_flops(name) is None


EIGHT = read_published_config("qwen3-8b")


def estimate_need(processes=8, rows=1, config=EIGHT, gpu=True, **changes):
    return estimate_memory(config, Train(lr=1e-5, max_length=4096, **changes), processes, rows, gpu)


def test_dividing_more_of_the_state_needs_less_memory():
    without_deepspeed, zero2, zero3 = (
        estimate_need(deepspeed=kind)["total"] for kind in (None, DeepSpeed.zero2, DeepSpeed.zero3)
    )
    assert zero3 < zero2 < without_deepspeed
    assert estimate_need(16, deepspeed=DeepSpeed.zero3)["total"] < zero3
    assert estimate_need(1)["weights"] == estimate_need(8)["weights"]


def test_an_adapter_needs_less_than_all_weights_and_a_small_one_less_than_a_large_one():
    small, large = (estimate_need(1, method=Method.lora, lora=Lora(rank=rank)) for rank in (8, 64))
    assert small["total"] < large["total"] < estimate_need(1)["total"]
    assert large["optimizer"] == 8 * small["optimizer"]


def test_gradient_checkpointing_needs_less_memory_and_more_rows_need_more():
    assert estimate_need(gradient_checkpointing=True)["activations"] < estimate_need()["activations"] / 10
    assert estimate_need(rows=2)["logits"] == 2 * estimate_need()["logits"]
    assert estimate_need(rows=2)["activations"] > 2 * estimate_need()["activations"]  # the mask grows with the square


def test_the_kl_penalty_needs_a_copy_of_the_model_but_not_with_an_adapter():
    penalized = estimate_need(deepspeed=DeepSpeed.zero2, kl_weight=0.5)
    assert penalized["reference"] == 2 * count_parameters(EIGHT).total
    assert estimate_need(method=Method.lora, kl_weight=0.5)["reference"] == estimate_need()["reference"] == 0


@pytest.mark.parametrize(
    ("deepspeed", "gpu", "bytes_per_parameter"),
    [
        # Bytes per parameter on each of 2 processes, measured on the tensors of DeepSpeed 0.19.8.
        (DeepSpeed.zero2, True, {"weights": 2, "gradients": 4 / 2, "optimizer": (4 + 8) / 2}),
        (DeepSpeed.zero3, True, {"weights": 2 / 2 + 2, "gradients": 4 / 2, "optimizer": (4 + 8) / 2}),
        (DeepSpeed.zero2, False, {"weights": 4, "gradients": 4 / 2, "optimizer": (4 + 8) / 2}),
        (DeepSpeed.zero3, False, {"weights": 4 / 2 + 4, "gradients": 4 / 2, "optimizer": 8 / 2}),
    ],
)
def test_estimates_with_deepspeed_are_the_bytes_of_its_tensors(deepspeed, gpu, bytes_per_parameter):
    config = make_dense_config()  # below a billion weights, ZeRO-3 can gather all of them: that is the second term
    estimate = estimate_need(2, config=config, gpu=gpu, deepspeed=deepspeed)
    total = count_parameters(config).total
    assert {key: estimate[key] / total for key in bytes_per_parameter} == bytes_per_parameter


def test_deepspeed_accumulates_gradients_in_float32_as_estimated():
    for kind in DeepSpeed:
        settings = json.loads((ROOT / f"profiles/deepspeed/{kind.value}.json").read_text())
        assert settings["data_types"] == {"grad_accum_dtype": "fp32"}


@pytest.mark.filterwarnings("ignore:The following .* keys did not match")  # PEFT warns, then adapts the experts
@pytest.mark.parametrize("config", [make_dense_config(), make_moe_config()], ids=["dense", "mixture"])
@pytest.mark.parametrize("kind", ["adamw", "muon", "lora"])
def test_weights_gradients_and_optimizer_are_the_bytes_of_the_real_tensors(config, kind):
    model = build_model(config)
    if kind == "lora":
        model = attach_adapter(model, Lora())
    model(input_ids=torch.arange(8)[None], labels=torch.arange(8)[None]).loss.backward()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = make_muon(model, 1e-3, 0.0) if kind == "muon" else torch.optim.AdamW(trained, 1e-3)
    optimizer.step()
    parts = getattr(optimizer, "parts", (optimizer,))
    states = [value for part in parts for state in part.state.values() for value in state.values()]
    estimate = estimate_need(
        1,
        config=config,
        gpu=False,
        method=Method.lora if kind == "lora" else Method.full,
        optimizer=Optimizer.muon if kind == "muon" else Optimizer.adamw,
    )
    assert estimate["weights"] == sum(p.nbytes for p in model.parameters())
    assert estimate["gradients"] == sum(p.grad.nbytes for p in trained if p.grad is not None)
    assert estimate["optimizer"] == sum(value.nbytes for value in states if value.ndim)  # without the step counters


def measure_saved(config, *, packed, dtype, autocast):
    """Return the bytes that a forward pass through the layers keeps for the backward pass, without the weights."""
    config._attn_implementation = "sdpa"
    model = build_model(config).to(dtype)
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage  # kept, so that no address is used twice
        return tensor

    positions = torch.arange(LENGTH)[None] % (LENGTH // 2 if packed else LENGTH)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", enabled=autocast):
        out = model.model(torch.zeros_like(positions), position_ids=positions, use_cache=False).last_hidden_state
    assert out.requires_grad
    copies = sum(p.numel() for p in model.model.layers.parameters() if p.ndim == 2) * 2 if autocast else 0
    return sum(storage.nbytes() for storage in kept.values()) - copies


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "apart"])
@pytest.mark.parametrize(
    ("make", "gpu", "changes", "dtype", "autocast"),
    [
        (make_dense_config, False, {}, torch.float32, False),
        (make_dense_config, True, {"deepspeed": DeepSpeed.zero2}, torch.bfloat16, False),
        (make_dense_config, True, {}, torch.float32, True),
        (make_moe_config, False, {}, torch.float32, False),
        (make_moe_config, True, {"deepspeed": DeepSpeed.zero3}, torch.bfloat16, False),
    ],
    ids=["float32", "bfloat16", "autocast", "experts-float32", "experts-bfloat16"],
)
def test_activations_match_the_bytes_that_a_layer_keeps(make, gpu, changes, dtype, autocast, packed):
    train = Train(lr=1e-5, max_length=LENGTH, packing=packed, **changes)
    kept = partial(measure_saved, packed=packed, dtype=dtype, autocast=autocast)
    layer = kept(make(3)) - kept(make(2))
    estimated = estimate_memory(make(1), train, 1, 1, gpu)["activations"]
    assert estimated == pytest.approx(
        layer, rel=0.03
    )  # the estimate leaves out tensors with one number per head or expert


def test_logits_are_log_probabilities_and_two_gradients_of_the_completions():
    assert estimate_need(config=make_dense_config())["logits"] == COMPLETION_SHARE * 4096 * 96 * 3 * 4


def test_the_memory_line_names_the_parts_in_gib_without_parts_of_0():
    estimate = {"weights": 3 * GIB, "reference": 0, "logits": GIB // 2, "total": 7 * GIB // 2}
    text = format_memory(estimate, None)
    assert re.findall(r"\d\.\d", text) == ["3.5", "3.0", "0.5"]
    assert text.endswith(": weights 3.0, logits 0.5")
    assert format_memory(estimate, 4 * GIB).endswith(" 4.0 GiB)")


@pytest.mark.parametrize(
    ("profile", "processes", "config"),
    [
        ("qwen3-0.6b", 1, "qwen3-0.6b"),
        ("qwen3-8b-lora", 1, "qwen3-8b"),
        ("qwen3-8b", 8, "qwen3-8b"),
        ("qwen3-30b-a3b", 8, "qwen3-30b-a3b"),
        ("qwen3-30b-a3b", 32, "qwen3-30b-a3b"),
    ],
)
def test_the_head_of_a_profile_holds_what_the_command_prints(profile, processes, config, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    main(profile, processes, Path(f"tests/configs/{config}.json"))
    line, count, flops = capsys.readouterr().out.splitlines()
    head = (ROOT / f"profiles/{profile}.yaml").read_text()
    assert f"#   {line}\n" in head
    assert count.startswith(f"{count_parameters(read_published_config(config)).total:,} parameters")
    assert "GPU hours of an H100 at an assumed MFU of 40%" in flops


@pytest.mark.parametrize("path", sorted(ROOT.glob("profiles/qwen3-*.yaml")), ids=lambda path: path.stem)
def test_a_real_profile_trains_a_pinned_model_on_a_gpu_in_a_batch_that_divides(path):
    train = Train.load(path.stem, ROOT)
    assert Model.load(path.stem, ROOT).revision and train.gpu
    assert train.global_batch % (32 if path.stem == "qwen3-30b-a3b" else 8) == 0
