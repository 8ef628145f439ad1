"""What training costs: parameters, FLOPs and memory, worked out from a model's configuration.

Memory is an estimate of what PyTorch allocates; CUDA
itself, communication buffers and fragmentation take some gigabytes more.
"""

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alloy.modeling.architecture import find_modules_outside_text, keeps_state, language_model, layer_kinds, text_config
from alloy.training.settings import DeepSpeed, Method, Optimizer, Train

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

H100 = 989.4e12
# Dense bfloat16 FLOP/s by the words of `torch.cuda.get_device_name()`, a form of a chip before the chip alone. From
# NVIDIA's data sheets, whose large figures are with sparsity: twice these.
PEAKS: list[tuple[set[str], float]] = [
    ({"H100", "PCIe"}, 756e12),
    ({"H100", "NVL"}, 835e12),
    ({"H200", "NVL"}, 835e12),
    ({"H100"}, H100),
    ({"H200"}, H100),
    ({"B200"}, 2250e12),
    ({"A100"}, 312e12),
    ({"L40S"}, 362e12),
    ({"L4"}, 121e12),
    ({"A10G"}, 70e12),
    ({"RTX", "4090"}, 165e12),
]
LESSER = {"MIG", "Laptop", "D"}  # a slice or a smaller form of a chip: its peak is another
GATHERED = 10**9  # weights that ZeRO-3 holds whole at once: DeepSpeed's default of `stage3_max_live_parameters`
COMPLETION = 0.5  # assumed share of the tokens that are to be learnt
EXAMPLE, MFU = 500, 0.4  # assumed by `alloy cost`: tokens an example, and the share of the peak that is reached
GIB = 2**30


@dataclass(frozen=True)
class Parameters:
    """Counts: `total`; `body_active` of the layers that one token passes, embedding and head apart; `head`."""

    total: int
    body_active: int
    head: int


def skeleton(config: "PreTrainedConfig") -> "PreTrainedModel":
    """Return the model without its weights: it takes no memory.

    `AutoModelForCausalLM.from_config` is no use here: under ZeRO-3 it shares the weights out among the processes.
    """
    import torch

    kind, own = language_model(copy.deepcopy(config))
    with torch.device("meta"):
        return kind(own)


def parameters(config: "PreTrainedConfig") -> Parameters:
    """Count the parameters; of a mixture's experts (n, .., ..), a token passes only the chosen ones.

    Text passes none of a vision tower.
    """
    model: Any = skeleton(config)
    head = model.get_output_embeddings().weight
    others = {id(head), id(model.get_input_embeddings().weight)}
    parts = dict(model.named_modules())
    others |= {id(p) for name in find_modules_outside_text(model) for p in parts[name].parameters()}
    active = sum(
        p.numel() // p.shape[0] * text_config(config).num_experts_per_tok if ".experts." in name else p.numel()
        for name, p in model.named_parameters()
        if id(p) not in others
    )
    return Parameters(sum(p.numel() for p in model.parameters()), active, head.numel())


def training_flops(
    config: "PreTrainedConfig", tokens: float, squares: float, completions: float, method: Method
) -> float:
    """Return the model FLOPs of training on `tokens` in examples whose squared lengths add up to `squares`.

    Chowdhery et al. 2022 (PaLM), appendix B: 6 a parameter and token, that is 2 each for the forward pass and the
    gradients of inputs and of weights, and attention. Frozen weights (LoRA) have no gradient; the adapter's own work,
    about 1 %, is left out, as is whatever gradient checkpointing computes twice. Unlike PaLM we count attention as it
    is needed: causal, so half the square, and within each example; and the head at the `completions` tokens alone.
    """
    size = parameters(config)
    heads, _, width = _attention(text_config(config))
    layers = sum(not keeps_state(kind) for kind in layer_kinds(config))
    matrices = size.body_active * tokens + size.head * completions
    scores = 2 * squares * heads * width * layers  # 2 matmuls of 2 FLOPs over half the square
    return (6 if method is Method.full else 4) * matrices + 3 * scores


def peak_flops(name: str) -> float | None:
    """Return the dense bfloat16 FLOP/s of the GPU that torch calls `name`, or None for one not known."""
    words = set(name.replace("-", " ").split())
    if words & LESSER:
        return None
    return next((peak for wanted, peak in PEAKS if wanted <= words), None)


def gpu_hours(flops: float) -> float:
    """Return the hours that an H100 takes for so many FLOPs, at the assumed share of its peak."""
    return flops / (MFU * H100) / 3600


def memory(config: "PreTrainedConfig", train: Train, processes: int, rows: int, gpu: bool) -> dict[str, int]:
    """Return the estimated bytes on one of `processes` devices that takes `rows` rows of `max_length` at once.

    On a GPU, full training keeps float32 weights and computes on bfloat16 copies; under DeepSpeed it keeps bfloat16
    weights and shares out float32 ones (`master_weights_and_grads_dtype`, counted as `optimizer`) and float32
    gradients (profiles/deepspeed). Frozen weights are bfloat16. On the CPU everything is float32.
    """
    model, sizes = skeleton(config), text_config(config)
    total = sum(p.numel() for p in model.parameters())
    full = train.method is Method.full
    if full:
        parts = dict(model.named_modules())
        unused = {p for name in find_modules_outside_text(model) for p in parts[name].parameters()}
        frozen = sum(p.numel() for p in unused)
        trained = total - frozen
    else:
        trained, frozen = _adapter(model, train), total
    shared = processes if train.deepspeed else 1
    zero3 = train.deepspeed is DeepSpeed.zero3
    element = 2 if gpu else 4
    autocast = gpu and full and train.deepspeed is None
    held = element if train.deepspeed else 6 if autocast else 4
    # DistributedDataParallel reduces gradients in buckets, which are a second copy of them.
    gradient = 4 if train.deepspeed or processes == 1 else 8
    states = 8 * trained
    if (
        train.optimizer is Optimizer.muon
    ):  # one moment, not two, for the matrices that alloy/training/optimizer.py gives it
        matrices = {n: p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "head" not in n}
        states -= 4 * sum(p.numel() for p in matrices.values())
    if train.deepspeed and (gpu or not zero3):  # in float32, ZeRO-3 needs no second copy
        states += 4 * trained
    weights = frozen * element + trained * held
    estimate = {
        "weights": weights // processes + element * min(total, GATHERED) if zero3 else weights,
        "gradients": gradient * trained // shared,
        "optimizer": states // shared,
        "reference": element * total if full and train.anchor else 0,
        "activations": _activations(
            text_config(config), train, rows * train.max_length, element, 4 if autocast else element
        ),
        # Log-probabilities and two gradients, in float32.
        "logits": int(COMPLETION * rows * train.max_length) * sizes.vocab_size * 12,
    }
    return estimate | {"total": sum(estimate.values())}


def memory_line(estimate: dict[str, int], available: int | None) -> str:
    """Return `memory`'s estimate, and what the device has in bytes, as one line in GiB, or in MiB for a small model."""
    unit, name = (GIB, "GiB") if estimate["total"] >= GIB else (2**20, "MiB")
    parts = ", ".join(f"{key} {value / unit:.1f}" for key, value in estimate.items() if value and key != "total")
    end = f" (there: {available / GIB:.1f} GiB)" if available is not None else ""
    return f"needs about {estimate['total'] / unit:.1f} {name} on each device: {parts}{end}"


def _attention(config: Any) -> tuple[int, int, int]:  # noqa: ANN401 (the fields are those of the model's own class)
    """Return heads, key and value heads, and the width of a head."""
    heads = getattr(config, "num_attention_heads", None) or 1
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return heads, getattr(config, "num_key_value_heads", None) or heads, width


def _adapter(model: "PreTrainedModel", train: Train) -> int:
    """Count the parameters of the adapter that PEFT puts on the model, also on experts."""
    import torch

    from alloy.training.lora import attach

    with torch.device("meta"):
        return sum(p.numel() for p in attach(model, train.lora).parameters() if p.requires_grad)


def _activations(config: Any, train: Train, tokens: int, element: int, wide: int) -> int:  # noqa: ANN401
    """Return the bytes kept for the backward pass of the layers, one sequence of `tokens` at once.

    Korthikanti et al. 2022 ("Reducing activation recomputation in large transformer models") count those of GPT-3.
    Here they are what Qwen3's modules keep: RMSNorm its input in float32, what it normalised (`wide` bytes a value)
    and its output (`element` bytes); queries and keys the same, rotated; attention its inputs and output but no
    scores; SwiGLU four vectors. Examples side by side need a mask, and torch's attention with a mask needs keys and
    values repeated for each query head. Experts keep all that for each of a token's choices, and its input and output.
    """
    heads, groups, width = _attention(config)
    hidden, queries, keys = config.hidden_size, heads * width, groups * width
    layer = 2 * (4 + wide + element) * hidden + (4 + wide + 2 * element) * (queries + keys)
    if train.packing or tokens > train.max_length:
        layer += element * (2 * (queries - keys) + tokens)
    inner = getattr(config, "intermediate_size", None) or 4 * hidden
    experts = getattr(config, "num_local_experts", 1)  # 0 in Granite 4 H without experts
    if experts and (chosen := getattr(config, "num_experts_per_tok", None)):
        layer += element * chosen * (2 * hidden + 4 * getattr(config, "moe_intermediate_size", inner))
    else:
        layer += element * 4 * inner
    layers = config.num_hidden_layers
    return tokens * (layers * wide * hidden + layer if train.gradient_checkpointing else layers * layer)
