"""Reading of configurations: sizes below `text_config`, the context, layer types, modules that text does not use."""

import pytest
from transformers import AutoModelForCausalLM, BloomConfig, MistralConfig, Qwen3_5Config, RwkvConfig

from alloy.core.files import InputError
from alloy.inference.prefix_attention import require_full_attention
from alloy.modeling.architecture import (
    NO_LIMIT,
    find_language_model,
    find_modules_outside_text,
    get_layer_types,
    get_text_config,
    keeps_state,
    load_config,
    read_context_length,
)
from model_families import APART, FAMILIES, LINEAR, SIZES, STATEFUL, VISION, build_model, make_gemma3_config


def test_sizes_below_text_config_are_found(tmp_path):
    make_gemma3_config().save_pretrained(tmp_path)
    config = load_config(tmp_path)
    assert not hasattr(config, "max_position_embeddings")
    assert read_context_length(config) == SIZES["max_position_embeddings"]
    assert get_text_config(config).hidden_size == SIZES["hidden_size"]
    assert get_layer_types(config) == ["sliding_attention", "full_attention"]


def test_a_multimodal_model_loaded_for_text_has_the_text_configuration(tmp_path):
    Qwen3_5Config(text_config={**SIZES, **LINEAR}, vision_config=VISION).save_pretrained(tmp_path)
    config = load_config(tmp_path)
    assert (config.model_type, config.num_hidden_layers) == ("qwen3_5_text", 2)
    assert type(AutoModelForCausalLM.from_config(config)) is find_language_model(config)[0]


def test_a_model_without_a_limit_has_a_context_of_any_length():
    assert read_context_length(BloomConfig()) == NO_LIMIT
    assert read_context_length(MistralConfig(max_position_embeddings=77)) == 77


@pytest.mark.parametrize("name", FAMILIES)
def test_layers_with_a_state_are_distinguished_from_those_with_keys_and_values(name):
    assert any(map(keeps_state, get_layer_types(FAMILIES[name]()))) == (name in STATEFUL)


def test_a_state_outside_the_caches_is_found_by_the_class():
    assert set(get_layer_types(RwkvConfig(num_hidden_layers=2, hidden_size=32))) == {"recurrent"}
    assert keeps_state("recurrent") and keeps_state("a kind of next year")


def test_a_sliding_window_without_layer_kinds_is_found():
    assert set(get_layer_types(MistralConfig(sliding_window=8))) == {"sliding_attention"}
    assert set(get_layer_types(MistralConfig(sliding_window=None))) == {"full_attention"}


@pytest.mark.parametrize("name", [*STATEFUL, "Gemma 3", "Gemma 3 with vision"])
def test_the_engine_of_transformers_refuses_layers_that_share_no_prefix(name):
    with pytest.raises(InputError, match=r"infer\.engine: .*vllm"):
        require_full_attention(FAMILIES[name]())
    require_full_attention(APART["Qwen3"]())


def test_the_vision_tower_is_outside_text():
    model = build_model("Gemma 3 with vision")
    outside = find_modules_outside_text(model)
    assert "model.vision_tower" in outside and "model.multi_modal_projector" in outside
    assert not [name for name in outside if "language_model" in name or "lm_head" in name]
    assert [find_modules_outside_text(build_model(name)) for name in FAMILIES if name != "Gemma 3 with vision"] == [
        set()
    ] * (len(FAMILIES) - 1)
