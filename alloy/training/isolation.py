"""Whether the examples of a packed row stay apart in a model, so that none is changed by those before it.

Packed examples are told apart by positions that start again at 0, and only the masks of attention look at these. A
layer with a state (linear attention, state space, convolution) carries it from one example into the next; some
attentions (GPT-OSS, Falcon, OPT in transformers 5.19) make a mask that knows no positions. No list of families is
needed to find either: see `examples_stay_apart`.
"""

import copy
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from alloy.modeling.architecture import keeps_state, language_model, layer_kinds, text_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedConfig

WORDS = 64  # of the small model's vocabulary
LENGTH = 6  # tokens of each of two examples
LAYERS = 2  # masks are made once for a model; which layers have a state is read from the configuration
WIDTH = 16  # of the layers between attentions, which look at each token by itself
# What transformers calls the sizes of these layers and the number of experts.
WIDTHS = ("intermediate_size", "moe_intermediate_size", "shared_expert_intermediate_size", "intermediate_size_mlp")
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
ENDS = ("pad_token_id", "bos_token_id", "eos_token_id")


def why_not_packed(config: "PreTrainedConfig") -> str | None:
    """Return why rows for this model must not be packed, or None if packed examples stay apart."""
    if kinds := sorted({kind for kind in layer_kinds(config) if keeps_state(kind)}):
        return f"its layers ({', '.join(kinds)}) carry a state from one example to the next"
    apart = _examples_stay_apart(config.to_json_string(use_diff=False), type(config))
    if apart is None:
        return "it could not be checked that its attention keeps packed examples apart"
    return None if apart else "its attention does not keep packed examples apart"


@lru_cache(maxsize=4)
def _examples_stay_apart(written: str, kind: Any) -> bool | None:  # noqa: ANN401 (the class of a configuration)
    import json

    return examples_stay_apart(kind(**json.loads(written)))


def examples_stay_apart(config: "PreTrainedConfig") -> bool | None:
    """Say whether packed examples stay apart in a small model of this architecture; None if none can be made.

    1. Make a model of this configuration with random weights, and fewer and narrower layers.
    2. Put two examples into one row, with positions that start again at the second.
    3. Take the gradient of the second one's logits by the first one's embeddings. It is 0, exactly, if and only if
       nothing of the first reaches the second.
    """
    import torch

    try:
        with _own_random_numbers():
            model = _small_model(config).eval().requires_grad_(False)
            ids = torch.arange(3, 3 + 2 * LENGTH)[None]
            vectors = model.get_input_embeddings()(ids).detach().requires_grad_()
            places = torch.arange(LENGTH).repeat(2)[None]
            logits = model(inputs_embeds=vectors, position_ids=places, use_cache=False).logits
            (gradient,) = torch.autograd.grad(logits[0, LENGTH:].square().sum(), vectors)
    except (ArithmeticError, AttributeError, ImportError, LookupError, NotImplementedError, RuntimeError, TypeError,
            ValueError):  # fmt: skip
        return None
    first, second = gradient[0, :LENGTH], gradient[0, LENGTH:]
    if not torch.isfinite(gradient).all() or not second.any():
        return None
    return not first.any()


def _small_model(config: "PreTrainedConfig") -> Any:  # noqa: ANN401 (a PreTrainedModel)
    import torch

    kind, config = language_model(copy.deepcopy(config))
    sizes = text_config(config)
    values = sizes.to_dict()
    layers = min(LAYERS, sizes.num_hidden_layers)
    changes: dict[str, Any] = {"vocab_size": WORDS, "num_hidden_layers": layers, **dict.fromkeys(ENDS)}
    for name, value in values.items():
        if name in WIDTHS and isinstance(value, int):
            changes[name] = min(value, WIDTH)
        elif name in EXPERTS and isinstance(value, int):
            changes[name] = min(value, max(values.get("num_experts_per_tok") or 1, 2))
        elif isinstance(value, list) and len(value) == sizes.num_hidden_layers:  # a kind for each layer
            changes[name] = value[:layers]
    small = type(sizes)(**{**values, **changes, "dtype": "float32"})
    if sizes is not config:
        small_config = copy.deepcopy(config)
        for name in config.sub_configs:
            if getattr(config, name, None) is sizes:
                setattr(small_config, name, small)
        small = small_config
    model = kind(small)
    return model.float()


@contextmanager
def _own_random_numbers() -> "Iterator[None]":
    """Draw random numbers without a change of those that are drawn after."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
