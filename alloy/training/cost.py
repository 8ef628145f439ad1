"""The cost of a training run: parameters, FLOPs and memory, from a model's configuration.

Memory is an estimate of what PyTorch allocates. CUDA itself, communication buffers and fragmentation take some
gigabytes more.
"""

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alloy.modeling.architecture import (
    find_language_model,
    find_modules_outside_text,
    get_layer_types,
    get_text_config,
    keeps_state,
)
from alloy.training.settings import DeepSpeed, Method, Optimizer, Train

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

H100_FLOPS = 989.4e12
# Dense bfloat16 FLOP/s by words of `torch.cuda.get_device_name()`; the first match counts, so variants of a chip come
# before the chip. From NVIDIA's data sheets, where numbers with sparsity are twice as high.
PEAK_FLOPS: list[tuple[set[str], float]] = [
    ({"H100", "PCIe"}, 756e12),
    ({"H100", "NVL"}, 835e12),
    ({"H200", "NVL"}, 835e12),
    ({"H100"}, H100_FLOPS),
    ({"H200"}, H100_FLOPS),
    ({"B200"}, 2250e12),
    ({"A100"}, 312e12),
    ({"L40S"}, 362e12),
    ({"L4"}, 121e12),
    ({"A10G"}, 70e12),
    ({"RTX", "4090"}, 165e12),
]
OTHER_VARIANTS = {"MIG", "Laptop", "D"}  # a slice of a chip or a smaller variant: its peak is lower
# Weights that ZeRO-3 gathers at a time: DeepSpeed's default of `stage3_max_live_parameters`.
ZERO3_LIVE_PARAMETERS = 10**9
COMPLETION_SHARE = 0.5  # assumed share of tokens with a loss
EXAMPLE_TOKENS, MFU = 500, 0.4  # assumed by `alloy cost`: tokens per example, share of the peak that is reached
GIB = 2**30


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of parameters.

    `total`: all. `head`: those of the output layer. `body_active`: those that one token uses, without embeddings and
    head.
    """

    total: int
    body_active: int
    head: int


def make_empty_model(config: "PreTrainedConfig") -> "PreTrainedModel":
    """Return the model without its weights, on the meta device: it takes no memory.

    `AutoModelForCausalLM.from_config` cannot be used: under ZeRO-3 it divides the weights among the processes.
    """
    import torch

    model_class, model_config = find_language_model(copy.deepcopy(config))
    with torch.device("meta"):
        return model_class(model_config)


def count_parameters(config: "PreTrainedConfig") -> ParameterCounts:
    """Count the parameters. Of a mixture of experts (n, ..., ...), a token uses only the experts chosen for it.

    Parts that text does not use, such as a vision tower, only count in the total.
    """
    model: Any = make_empty_model(config)
    head = model.get_output_embeddings().weight
    excluded = {id(head), id(model.get_input_embeddings().weight)}
    modules = dict(model.named_modules())
    excluded |= {id(p) for name in find_modules_outside_text(model) for p in modules[name].parameters()}
    active = sum(
        p.numel() // p.shape[0] * get_text_config(config).num_experts_per_tok if ".experts." in name else p.numel()
        for name, p in model.named_parameters()
        if id(p) not in excluded
    )
    return ParameterCounts(sum(p.numel() for p in model.parameters()), active, head.numel())


def count_training_flops(
    config: "PreTrainedConfig", tokens: float, squares: float, completions: float, method: Method
) -> float:
    """Return the model FLOPs of a training run.

    `tokens` is the number of tokens, `squares` the sum of the squared lengths of the examples, `completions` the number
    of tokens with a loss.

    The method is that of PaLM (Chowdhery et al. 2022, appendix B):

    1. Matrices: 2 FLOPs per parameter and token for each of the forward pass, the gradients of the inputs, and the
       gradients of the weights: 6 in all. Frozen weights (LoRA) have no gradient: 4.
    2. Attention: two products, scores and mean of values, each 2 FLOPs per head dimension and pair of tokens, and three
       times that with the gradients.

    Two counts are lower than PaLM's, since they are what is needed: attention is causal (half of the square) and within
    each example, and the output layer is only used at tokens with a loss. The adapter itself (about 1 %) and what
    gradient checkpointing computes twice are not counted.

    Example: a model of 100 parameters without attention, trained in full on 10 tokens with a loss, takes
    6 * 100 * 10 = 6,000 FLOPs.
    """
    size = count_parameters(config)
    heads, _, width = _read_attention_sizes(get_text_config(config))
    layers = sum(not keeps_state(layer_type) for layer_type in get_layer_types(config))
    matrices = size.body_active * tokens + size.head * completions
    scores = 2 * squares * heads * width * layers  # 2 matmuls of 2 FLOPs over half the square
    return (6 if method is Method.full else 4) * matrices + 3 * scores


def find_peak_flops(name: str) -> float | None:
    """Return the dense bfloat16 FLOP/s of the GPU that torch calls `name`, or None if it is unknown."""
    words = set(name.replace("-", " ").split())
    if words & OTHER_VARIANTS:
        return None
    return next((peak for name_words, peak in PEAK_FLOPS if name_words <= words), None)


def estimate_gpu_hours(flops: float) -> float:
    """Return the hours that an H100 takes for `flops`, at the assumed share of its peak."""
    return flops / (MFU * H100_FLOPS) / 3600


def estimate_memory(config: "PreTrainedConfig", train: Train, processes: int, rows: int, gpu: bool) -> dict[str, int]:
    """Return the estimated bytes on one of `processes` devices, with batches of `rows` rows of `max_length` tokens.

    On a GPU, full training keeps float32 weights and computes on bfloat16 copies. With DeepSpeed it keeps bfloat16
    weights. Its float32 weights (`master_weights_and_grads_dtype`, counted as `optimizer`) and float32 gradients are
    divided among the processes (profiles/deepspeed). Frozen weights are bfloat16. On a CPU everything is float32.
    """
    model, sizes = make_empty_model(config), get_text_config(config)
    total = sum(p.numel() for p in model.parameters())
    full = train.method is Method.full
    if full:
        modules = dict(model.named_modules())
        unused = {p for name in find_modules_outside_text(model) for p in modules[name].parameters()}
        frozen = sum(p.numel() for p in unused)
        trained = total - frozen
    else:
        trained, frozen = _count_adapter_parameters(model, train), total
    shards = processes if train.deepspeed else 1
    zero3 = train.deepspeed is DeepSpeed.zero3
    element_bytes = 2 if gpu else 4
    autocast = gpu and full and train.deepspeed is None
    weight_bytes = element_bytes if train.deepspeed else 6 if autocast else 4
    # DistributedDataParallel reduces gradients in buckets, which are a second copy of them.
    gradient_bytes = 4 if train.deepspeed or processes == 1 else 8
    state_bytes = 8 * trained
    if train.optimizer is Optimizer.muon:  # one moment instead of two for the matrices of `make_muon`
        matrices = {n: p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "head" not in n}
        state_bytes -= 4 * sum(p.numel() for p in matrices.values())
    if train.deepspeed and (gpu or not zero3):  # in float32, ZeRO-3 needs no second copy of the weights
        state_bytes += 4 * trained
    weights = frozen * element_bytes + trained * weight_bytes
    estimate = {
        "weights": weights // processes + element_bytes * min(total, ZERO3_LIVE_PARAMETERS) if zero3 else weights,
        "gradients": gradient_bytes * trained // shards,
        "optimizer": state_bytes // shards,
        "reference": element_bytes * total if full and train.kl_weight else 0,
        "activations": _estimate_activations(
            get_text_config(config), train, rows * train.max_length, element_bytes, 4 if autocast else element_bytes
        ),
        # Log-probabilities and two gradients, in float32.
        "logits": int(COMPLETION_SHARE * rows * train.max_length) * sizes.vocab_size * 12,
    }
    return estimate | {"total": sum(estimate.values())}


def format_memory(estimate: dict[str, int], available: int | None) -> str:
    """Return one line about an `estimate_memory` result, in GiB or MiB; `available`: the bytes of the device."""
    unit, name = (GIB, "GiB") if estimate["total"] >= GIB else (2**20, "MiB")
    parts = ", ".join(f"{key} {value / unit:.1f}" for key, value in estimate.items() if value and key != "total")
    end = f" (the device has {available / GIB:.1f} GiB)" if available is not None else ""
    return f"needs about {estimate['total'] / unit:.1f} {name} on each device: {parts}{end}"


def _read_attention_sizes(config: Any) -> tuple[int, int, int]:  # noqa: ANN401 (the fields are those of the model's own class)
    """Return (query heads, key and value heads, width of a head)."""
    heads = getattr(config, "num_attention_heads", None) or 1
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    return heads, getattr(config, "num_key_value_heads", None) or heads, width


def _count_adapter_parameters(model: "PreTrainedModel", train: Train) -> int:
    """Count the parameters of the adapter that PEFT adds to the model, experts included."""
    import torch

    from alloy.training.lora import attach_adapter

    with torch.device("meta"):
        return sum(p.numel() for p in attach_adapter(model, train.lora).parameters() if p.requires_grad)


def _estimate_activations(
    config: Any,  # noqa: ANN401 (the fields are those of the model's own class)
    train: Train,
    tokens: int,
    element_bytes: int,
    norm_bytes: int,
) -> int:
    """Return the bytes that the layers keep for the backward pass of one sequence of `tokens`.

    The method is that of Korthikanti et al. 2022 ("Reducing Activation Recomputation in Large Transformer Models") for
    GPT-3. A layer of Qwen3 keeps, per token:

    1. RMSNorm, twice: its input (4 bytes per value), normalized values (`norm_bytes`) and output (`element_bytes`).
    2. Queries and keys: the same for their norms, and the rotated values.
    3. Attention: its inputs and output, but no scores. Packed rows, and several rows in a batch, need a mask. With
       a mask, torch's attention also needs keys and values repeated for each query head.
    4. SwiGLU: four vectors. With experts, four vectors per chosen expert, and its input and output.

    Gradient checkpointing keeps the input of each layer, and computes one layer at a time.
    """
    heads, groups, width = _read_attention_sizes(config)
    hidden, queries, keys = config.hidden_size, heads * width, groups * width
    layer = 2 * (4 + norm_bytes + element_bytes) * hidden + (4 + norm_bytes + 2 * element_bytes) * (queries + keys)
    if train.packing or tokens > train.max_length:
        layer += element_bytes * (2 * (queries - keys) + tokens)
    inner = getattr(config, "intermediate_size", None) or 4 * hidden
    experts = getattr(config, "num_local_experts", 1)  # 0 in Granite 4 H without experts
    if experts and (chosen := getattr(config, "num_experts_per_tok", None)):
        layer += element_bytes * chosen * (2 * hidden + 4 * getattr(config, "moe_intermediate_size", inner))
    else:
        layer += element_bytes * 4 * inner
    layers = config.num_hidden_layers
    return tokens * (layers * norm_bytes * hidden + layer if train.gradient_checkpointing else layers * layer)
