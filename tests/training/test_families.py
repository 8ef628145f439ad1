"""Other model families than Qwen3 can be trained: nested configurations, layers with a state."""

from pathlib import Path

import pytest
import torch

from alloy.commands.cost import main as cost
from alloy.core.files import read_json
from alloy.modeling.model_folder import load_context_length, load_weights
from model_families import FAMILIES
from projects import read_weights, run_training, write_project

pytestmark = pytest.mark.slow


def compute_logits(folder: Path) -> torch.Tensor:
    """Return logits of the model in `folder`, loaded with transformers only."""
    with torch.no_grad():
        return load_weights(folder, torch.float32).eval()(torch.arange(10, 30)[None]).logits


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_model_with_a_vision_tower_is_trained_on_text_and_keeps_the_tower(tmp_path, monkeypatch, capsys, method):
    project = write_project(tmp_path / "project", FAMILIES["Gemma 3 with vision"](), method=method)
    result = run_training(project)
    assert "not packed" not in result.output
    before, after = read_weights(project / "models/base"), result.weights
    assert before.keys() == after.keys()
    seeing = {name for name in before if "vision" in name or "multi_modal" in name}
    assert seeing
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and not changed & seeing
    assert (compute_logits(project / "models/trained") - compute_logits(project / "models/base")).abs().max() > 1e-3
    assert read_json(project / "models/trained/config.json")["model_type"] == "gemma3"
    assert load_context_length(project / "models/trained") == 256
    monkeypatch.chdir(project)
    cost("small", 1, project / "models/base/config.json")
    assert "parameters" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["Granite 4 H", "LFM2"])
def test_layers_with_a_state_are_trained_without_packing_and_a_line_says_so(tmp_path, name):
    project = write_project(tmp_path / "project", FAMILIES[name](), max_steps=2, global_batch=40)
    result = run_training(project)
    assert "carry a state" in result.output and "train.packing" in result.output
    assert read_json(project / "metrics/train.json")["train"]["epochs"] == 2.0
    assert "packing: false" in (project / "models/trained/README.md").read_text()
    assert (compute_logits(project / "models/trained") - compute_logits(project / "models/base")).abs().max() > 1e-3


def test_lora_on_a_tied_output_layer_is_merged_into_an_untied_model(tmp_path):
    lora = {"rank": 4, "targets": ["q_proj", "lm_head"]}
    project = write_project(tmp_path / "project", FAMILIES["Qwen3"](), method="lora", lora=lora)
    result = run_training(project)
    assert not read_json(project / "models/trained/config.json")["tie_word_embeddings"]
    before = read_weights(project / "models/base")["model.embed_tokens.weight"]
    assert torch.equal(result.weights["model.embed_tokens.weight"], before)
    assert not torch.equal(result.weights["lm_head.weight"], before)
