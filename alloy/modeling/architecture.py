"""Facts from a model's configuration: its class, its sizes, its context length, and the types of its layers.

Multimodal models have the sizes of their language model in a nested configuration such as `text_config`, which
transformers finds.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

NO_LIMIT = 2**31  # context length in tokens of a model without a limit, such as a state space model
FULL = "full_attention"


def load_config(model: str | Path, revision: str | None = None) -> Any:  # noqa: ANN401 (each model has its own class)
    """Return the configuration of a causal language model, in a folder or on the hub. No code of the model is run."""
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(model, revision=revision, trust_remote_code=False)
    return find_language_model(config)[1]


def find_language_model(config: "PreTrainedConfig") -> "tuple[type[PreTrainedModel], Any]":
    """Return the class that transformers loads as a causal language model, and the configuration of that class.

    For a multimodal model whose class handles only text, the configuration is a part of `config`.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    model_class: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    if model_class.config_class == config.sub_configs.get("text_config"):
        return model_class, config.get_text_config()
    return model_class, config


def get_text_config(config: "PreTrainedConfig") -> Any:  # noqa: ANN401 (each model has its own class)
    """Return the part of a configuration with the sizes of the language model. Usually this is all of it."""
    return config.get_text_config(decoder=True)


def read_context_length(config: "PreTrainedConfig") -> int:
    """Return the context length: the maximum number of tokens of prompt and answer together."""
    return int(getattr(get_text_config(config), "max_position_embeddings", None) or NO_LIMIT)


def get_layer_types(config: "PreTrainedConfig") -> list[str]:
    """Return the type of each layer, as transformers names it.

    `full_attention` and `sliding_attention` keep the keys and values of each token. `linear_attention` (also for state
    space models), `conv` and `hybrid` keep a state. If transformers does not know the types, they are `unknown`.
    `recurrent` is our name for layers that keep a state outside the caches of transformers.
    """
    from transformers.cache_utils import get_layer_types_and_kwargs

    sizes = get_text_config(config)
    try:
        layer_types, _ = get_layer_types_and_kwargs(sizes)
    except (AttributeError, KeyError, TypeError, ValueError):
        layer_types = ["unknown"] * int(getattr(sizes, "num_hidden_layers", 1))
    if getattr(find_language_model(config)[0], "_is_stateful", False) and not any(map(keeps_state, layer_types)):
        return ["recurrent"] * len(layer_types)
    return list(layer_types)


def keeps_state(layer_type: str) -> bool:
    """Return whether a layer of this type carries a state across tokens, which an attention mask cannot block."""
    from transformers.cache_utils import DYNAMIC_LAYER_TYPE_MAPPING, LinearAttentionCacheLayerMixin

    cache = DYNAMIC_LAYER_TYPE_MAPPING.get(layer_type)
    return cache is None or issubclass(cache, LinearAttentionCacheLayerMixin)


def find_modules_outside_text(model: Any) -> set[str]:  # noqa: ANN401 (a PreTrainedModel)
    """Return the names of the modules that text does not pass through, such as a vision tower and its projector."""
    decoder, head = model.get_decoder(), model.get_output_embeddings()
    if decoder is None or decoder is model:
        return set()
    inside = {id(module) for module in (*decoder.modules(), *(head.modules() if head is not None else ()))}
    parents = {id(module) for module in model.modules() if any(id(child) in inside for child in module.modules())}
    return {name for name, module in model.named_modules() if id(module) not in inside | parents}
