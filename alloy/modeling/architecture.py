"""What a model's configuration says of it: its class, its sizes, its context, and what its layers keep of the past.

Models that also see images or hear have the sizes of their language model in a configuration below their own, such as
`text_config`; transformers finds it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

NO_LIMIT = 2**31  # tokens of context, if a model has no limit: one whose layers keep a state, for instance
FULL = "full_attention"


def load_config(folder: str | Path, revision: str | None = None) -> Any:  # noqa: ANN401 (of the model's own class)
    """Return the configuration of the causal language model in `folder`, without code that comes with it."""
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(folder, revision=revision, trust_remote_code=False)
    return language_model(config)[1]


def language_model(config: "PreTrainedConfig") -> "tuple[type[PreTrainedModel], Any]":
    """Return the class that transformers loads as a causal language model, and the configuration that it is made of.

    That is a part of `config` if the class is for text alone and `config` is that of a model which sees images.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    kind: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    if kind.config_class == config.sub_configs.get("text_config"):
        return kind, config.get_text_config()
    return kind, config


def text_config(config: "PreTrainedConfig") -> Any:  # noqa: ANN401 (the fields are those of the model's own class)
    """Return the part of a configuration that has the sizes of the language model; mostly all of it."""
    return config.get_text_config(decoder=True)


def context_of(config: "PreTrainedConfig") -> int:
    """Return how many tokens the model can have before it, prompt and answer together."""
    return int(getattr(text_config(config), "max_position_embeddings", None) or NO_LIMIT)


def layer_kinds(config: "PreTrainedConfig") -> list[str]:
    """Return the kind of each layer by what it keeps of the tokens before, as transformers names it.

    `full_attention` and `sliding_attention` keep keys and values of each token; `linear_attention` (also state space),
    `conv` and `hybrid` keep a state. A model whose kinds transformers cannot tell has layers of kind `unknown`.
    """
    from transformers.cache_utils import get_layer_types_and_kwargs

    sizes = text_config(config)
    try:
        kinds, _ = get_layer_types_and_kwargs(sizes)
    except (AttributeError, KeyError, TypeError, ValueError):
        kinds = ["unknown"] * int(getattr(sizes, "num_hidden_layers", 1))
    if getattr(language_model(config)[0], "_is_stateful", False) and not any(map(keeps_state, kinds)):
        return ["recurrent"] * len(kinds)  # a state that is in no cache of transformers
    return list(kinds)


def keeps_state(kind: str) -> bool:
    """Say whether a layer of this kind carries a state from each token to all that follow, which no mask stops."""
    from transformers.cache_utils import DYNAMIC_LAYER_TYPE_MAPPING, LinearAttentionCacheLayerMixin

    cache = DYNAMIC_LAYER_TYPE_MAPPING.get(kind)
    return cache is None or issubclass(cache, LinearAttentionCacheLayerMixin)


def outside_text(model: Any) -> set[str]:  # noqa: ANN401 (a PreTrainedModel)
    """Return the names of the modules that text never passes, such as a vision tower and its projector."""
    decoder, head = model.get_decoder(), model.get_output_embeddings()
    if decoder is None or decoder is model:
        return set()
    inside = {id(part) for part in (*decoder.modules(), *(head.modules() if head is not None else ()))}
    around = {id(part) for part in model.modules() if any(id(below) in inside for below in part.modules())}
    return {name for name, part in model.named_modules() if id(part) not in inside | around}
