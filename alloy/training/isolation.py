"""Checks that a model keeps the examples of a packed row apart: no example may see the ones before it.

Positions start again at 0 with each packed example, and the attention mask is made from the positions. This fails in
two cases: a layer with a state (linear attention, state space, convolution) carries it from one example into the next,
and some models (GPT-OSS, Falcon, OPT in transformers 5.19) make a mask that ignores positions. `examples_stay_apart`
finds both without a list of model families.
"""

import copy
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from alloy.modeling.architecture import find_language_model, get_layer_types, get_text_config, keeps_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedConfig

# Sizes of the small model that is tested.
VOCABULARY_SIZE = 64
EXAMPLE_LENGTH = 6  # tokens of each of the two examples
MAX_LAYERS = 2  # enough: a model makes its mask once, and layers with a state are known from the configuration
MAX_WIDTH = 16  # of the feed-forward layers, which process each token separately
# The names of these sizes and of the number of experts in configurations of transformers.
WIDTH_FIELDS = (
    "intermediate_size",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
    "intermediate_size_mlp",
)
EXPERT_FIELDS = ("num_experts", "num_local_experts", "n_routed_experts")
SPECIAL_TOKEN_FIELDS = ("pad_token_id", "bos_token_id", "eos_token_id")


def find_packing_problem(config: "PreTrainedConfig") -> str | None:
    """Return why rows must not be packed for this model, or None if they can be."""
    if stateful := sorted({name for name in get_layer_types(config) if keeps_state(name)}):
        return f"its layers ({', '.join(stateful)}) carry a state from one example to the next"
    apart = _examples_stay_apart(config.to_json_string(use_diff=False), type(config))
    if apart is None:
        return "it could not be checked that its attention keeps packed examples apart"
    return None if apart else "its attention does not keep packed examples apart"


@lru_cache(maxsize=4)
def _examples_stay_apart(config_json: str, config_class: Any) -> bool | None:  # noqa: ANN401 (a configuration class)
    import json

    return examples_stay_apart(config_class(**json.loads(config_json)))


def examples_stay_apart(config: "PreTrainedConfig") -> bool | None:
    """Return whether packed examples stay apart in a small model of this architecture; None if it cannot be tested.

    Algorithm:

    1. Make a model with this configuration and random weights, but with fewer and narrower layers.
    2. Put two examples into one row. The positions start again at the second: 0 1 2 3 4 5 | 0 1 2 3 4 5.
    3. Compute the gradient of the second example's logits with respect to the first example's embeddings. It is exactly
       0 if and only if the second example does not see the first.
    """
    import torch

    try:
        with _isolate_random_state():
            model = _make_small_model(config).eval().requires_grad_(False)
            ids = torch.arange(3, 3 + 2 * EXAMPLE_LENGTH)[None]
            vectors = model.get_input_embeddings()(ids).detach().requires_grad_()
            positions = torch.arange(EXAMPLE_LENGTH).repeat(2)[None]
            logits = model(inputs_embeds=vectors, position_ids=positions, use_cache=False).logits
            (gradient,) = torch.autograd.grad(logits[0, EXAMPLE_LENGTH:].square().sum(), vectors)
    except (ArithmeticError, AttributeError, ImportError, LookupError, NotImplementedError, RuntimeError, TypeError,
            ValueError):  # fmt: skip
        return None
    first, second = gradient[0, :EXAMPLE_LENGTH], gradient[0, EXAMPLE_LENGTH:]
    if not torch.isfinite(gradient).all() or not second.any():
        return None
    return not first.any()


def _make_small_model(config: "PreTrainedConfig") -> Any:  # noqa: ANN401 (a PreTrainedModel)
    model_class, config = find_language_model(copy.deepcopy(config))
    sizes = get_text_config(config)
    values = sizes.to_dict()
    layers = min(MAX_LAYERS, sizes.num_hidden_layers)
    changes: dict[str, Any] = {
        "vocab_size": VOCABULARY_SIZE,
        "num_hidden_layers": layers,
        **dict.fromkeys(SPECIAL_TOKEN_FIELDS),
    }
    for name, value in values.items():
        if name in WIDTH_FIELDS and isinstance(value, int):
            changes[name] = min(value, MAX_WIDTH)
        elif name in EXPERT_FIELDS and isinstance(value, int):
            changes[name] = min(value, max(values.get("num_experts_per_tok") or 1, 2))
        elif isinstance(value, list) and len(value) == sizes.num_hidden_layers:  # one value per layer
            changes[name] = value[:layers]
    small = type(sizes)(**{**values, **changes, "dtype": "float32"})
    if sizes is not config:
        small_config = copy.deepcopy(config)
        for name in config.sub_configs:
            if getattr(config, name, None) is sizes:
                setattr(small_config, name, small)
        small = small_config
    model = model_class(small)
    return model.float()


@contextmanager
def _isolate_random_state() -> "Iterator[None]":
    """Use a separate random state with seed 0, and restore the one from before."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
