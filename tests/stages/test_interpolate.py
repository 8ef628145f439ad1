"""Interpolation between base and trained model; the result is complete or absent."""

import re
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

from alloy.core.files import InputError, read_json
from alloy.modeling.model_folder import write_reference
from alloy.training.settings import Scratch, Train
from alloy.training.tiny_qwen import new_config, new_model, new_tokenizer
from stages.interpolate import BASE, OUT, TRAINED, blend_tensors, main

SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "train": Train(lr=1e-3),
}
PROMPT = torch.tensor([[1, 70, 80, 90, 2]])


def make_small_model(seed=0, **sizes):
    """Return a small model, from a fixed seed, and its tokenizer."""
    scratch = Scratch(**SIZES | sizes)
    set_seed(seed)
    tokenizer = new_tokenizer(["What colour is the door? The door is red."] * 4, scratch)
    return new_model(new_config(tokenizer, scratch)), tokenizer


def save_small_model(folder, seed=0, dtype=torch.float32, shard="50GB", **sizes):
    model, tokenizer = make_small_model(seed, **sizes)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    tokenizer.save_pretrained(folder)


def read_weights(folder):
    return {name: tensor for file in Path(folder).glob("*.safetensors") for name, tensor in load_file(file).items()}


def change_weights(file, change):
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def compute_logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=PROMPT).logits


def assert_same(weights, expected):
    assert weights.keys() == expected.keys()
    assert all(
        torch.equal(weights[name], expected[name]) and weights[name].dtype == expected[name].dtype for name in weights
    )


def assert_nothing_left():
    assert not OUT.exists()
    assert not list(OUT.parent.glob(".*"))


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    set_alpha(0.5)


def set_alpha(alpha):
    Path("params.yaml").write_text(f"interpolate:\n  alpha: {alpha}\n")


def test_alpha_1_copies_the_files_of_the_trained_model(capsys):
    set_alpha(1.0)
    save_small_model(TRAINED, seed=1)
    (TRAINED / "README.md").write_text("# A model\n")
    capsys.readouterr()  # what third parties print when first imported
    main()
    files = sorted(path.name for path in TRAINED.iterdir())
    assert sorted(path.name for path in OUT.iterdir()) == files
    assert all((OUT / name).read_bytes() == (TRAINED / name).read_bytes() for name in files)
    assert all((OUT / name).stat().st_nlink == 1 for name in files)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("interpolate: alpha 1, ")


def test_alpha_one_half_is_the_mean_of_the_two_models(capsys):
    save_small_model(BASE)
    save_small_model(TRAINED, seed=1)
    capsys.readouterr()
    main()
    base, trained, tuned = read_weights(BASE), read_weights(TRAINED), read_weights(OUT)
    assert base.keys() == trained.keys() == tuned.keys()
    for name in tuned:
        torch.testing.assert_close(tuned[name], (base[name] + trained[name]) / 2)
    assert capsys.readouterr().out == f"interpolate: alpha 0.5, {len(tuned)} tensors\n"


def test_alpha_0_gives_the_tensors_of_the_base_model():
    set_alpha(0)
    save_small_model(BASE)
    save_small_model(TRAINED, seed=1)
    main()
    assert_same(read_weights(OUT), read_weights(BASE))


def test_the_result_is_an_ordinary_folder_that_transformers_loads():
    save_small_model(BASE)
    save_small_model(TRAINED, seed=1)
    main()
    model = AutoModelForCausalLM.from_pretrained(OUT)
    assert torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)
    assert torch.isfinite(compute_logits(model)).all()
    assert AutoTokenizer.from_pretrained(OUT).chat_template
    assert {path.name for path in OUT.iterdir()} == {path.name for path in TRAINED.iterdir()}
    with safe_open(OUT / "model.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_bfloat16_is_computed_in_float32_and_rounded_once():
    set_alpha(0.3)
    save_small_model(BASE, dtype=torch.bfloat16)
    save_small_model(TRAINED, seed=1, dtype=torch.bfloat16)
    main()
    base, trained = read_weights(BASE), read_weights(TRAINED)
    for name, tensor in read_weights(OUT).items():
        exact = base[name].double() + 0.3 * (trained[name].double() - base[name].double())
        assert tensor.dtype == torch.bfloat16
        torch.testing.assert_close(tensor.double(), exact, rtol=2**-8, atol=1e-9)


def test_the_result_has_the_precision_of_the_trained_model():
    save_small_model(BASE, dtype=torch.bfloat16)
    save_small_model(TRAINED, seed=1)
    main()
    assert {tensor.dtype for tensor in read_weights(OUT).values()} == {torch.float32}


def test_integer_tensors_come_from_the_trained_model():
    assert torch.equal(blend_tensors(torch.tensor([1, 2]), torch.tensor([5, 6]), 0.5), torch.tensor([5, 6]))


@pytest.mark.parametrize(("base", "trained"), [("50GB", "20KB"), ("20KB", "50GB"), ("30KB", "20KB")])
def test_the_models_may_have_different_shards(base, trained):
    save_small_model(BASE, shard=base)
    save_small_model(TRAINED, seed=1, shard=trained)
    main()
    assert sorted(path.name for path in OUT.iterdir()) == sorted(path.name for path in TRAINED.iterdir())
    for name, tensor in read_weights(OUT).items():
        torch.testing.assert_close(tensor, (read_weights(BASE)[name] + read_weights(TRAINED)[name]) / 2)
    AutoModelForCausalLM.from_pretrained(OUT)


def untie_embeddings(tensors):
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()


def keep_only_the_head(tensors):
    tensors["lm_head.weight"] = tensors.pop("model.embed_tokens.weight")


@pytest.mark.parametrize("change", [untie_embeddings, keep_only_the_head])
@pytest.mark.parametrize("side", [BASE, TRAINED])
def test_a_tied_head_may_have_either_name_or_both(side, change):
    save_small_model(BASE)
    save_small_model(TRAINED, seed=1)
    embedding = "model.embed_tokens.weight"
    mean = (read_weights(BASE)[embedding] + read_weights(TRAINED)[embedding]) / 2
    change_weights(side / "model.safetensors", change)
    main()
    assert read_weights(OUT).keys() == read_weights(TRAINED).keys()
    model = AutoModelForCausalLM.from_pretrained(OUT)
    torch.testing.assert_close(model.lm_head.weight.detach(), mean)
    torch.testing.assert_close(model.model.embed_tokens.weight.detach(), mean)


def test_tensors_that_only_the_base_has_are_left_out():
    save_small_model(BASE)
    save_small_model(TRAINED, seed=1)
    extra = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}
    change_weights(BASE / "model.safetensors", lambda tensors: tensors.update(extra))
    main()
    assert read_weights(OUT).keys() == read_weights(TRAINED).keys()


def test_the_base_may_be_a_pinned_hub_model(tmp_path, monkeypatch):
    revision = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "cache/models--someone--small/snapshots" / revision
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    save_small_model(snapshot)
    write_reference(BASE, "someone/small", revision)
    save_small_model(TRAINED, seed=1)
    set_alpha(0.0)
    main()
    assert_same(read_weights(OUT), read_weights(snapshot))


def test_the_model_card_names_alpha_in_its_last_line():
    save_small_model(BASE)
    save_small_model(TRAINED, seed=1)
    (TRAINED / "README.md").write_text("# A model\n")
    (TRAINED / "README.md").chmod(0o444)  # as DVC leaves what it links
    main()
    last = "Interpolated with the base model: alpha 0.5 (Wortsman et al., 2022)."
    assert (OUT / "README.md").read_text() == f"# A model\n\n{last}\n"
    assert (TRAINED / "README.md").read_text() == "# A model\n"


LORA = {
    "plain": {},
    "rank-stabilised": {"use_rslora": True},
    "patterns": {"alpha_pattern": {"q_proj": 3}, "rank_pattern": {"v_proj": 2}},
}


def save_adapter(folder, **options):
    """Save an adapter with an update that is not zero and return the model with it merged in."""
    torch.manual_seed(3)
    model = get_peft_model(
        make_small_model()[0], LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": "all-linear"} | options)
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.2)
    model.save_pretrained(folder)
    return model.merge_and_unload()


@pytest.mark.parametrize("alpha", [0, 0.25])
@pytest.mark.parametrize("options", LORA.values(), ids=LORA)
def test_a_scaled_adapter_is_the_interpolated_model(options, alpha):
    set_alpha(alpha)
    save_small_model(BASE)
    merged = save_adapter(TRAINED, **options)
    main()
    between = make_small_model()[0]
    state, end = between.state_dict(), merged.state_dict()
    between.load_state_dict({name: state[name] + alpha * (end[name] - state[name]) for name in state})
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(BASE), OUT)
    torch.testing.assert_close(compute_logits(tuned), compute_logits(between), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(compute_logits(merged), compute_logits(tuned), atol=1e-3)
    assert read_json(OUT / "adapter_config.json") == read_json(TRAINED / "adapter_config.json")


def test_an_adapter_with_full_weights_is_refused():
    save_small_model(BASE)
    save_adapter(TRAINED, modules_to_save=["up_proj"], target_modules=["q_proj"])
    with pytest.raises(InputError, match=r"^models/trained/adapter_model\.safetensors: \S*up_proj\S*: "):
        main()
    assert_nothing_left()


def test_another_width_is_named_and_leaves_nothing():
    save_small_model(BASE, intermediate_size=96)
    save_small_model(TRAINED, seed=1)
    with pytest.raises(InputError) as error:
        main()
    assert str(error.value).startswith("models/base/model.safetensors: model.layers.0.mlp.down_proj.weight: ")
    assert re.search(r"\[32, 64\] as in models/trained, got \[32, 96\]; .*`dvc repro`$", str(error.value))
    assert_nothing_left()


@pytest.mark.parametrize(("base", "trained"), [(2, 3), (3, 2)])
def test_another_depth_is_named_and_leaves_nothing(base, trained):
    save_small_model(BASE, num_hidden_layers=base)
    save_small_model(TRAINED, seed=1, num_hidden_layers=trained)
    with pytest.raises(InputError, match=rf"config\.json: .*\b{trained} .*\b{base}; .*`dvc repro`"):
        main()
    assert_nothing_left()


def test_a_tensor_missing_in_the_base_model_is_named_and_leaves_nothing():
    save_small_model(BASE)
    save_small_model(TRAINED, seed=1)
    change_weights(BASE / "model.safetensors", lambda tensors: tensors.pop("model.norm.weight"))
    with pytest.raises(InputError, match=r"^models/base: .*model\.norm\.weight\b.*models/trained.*`dvc repro`"):
        main()
    assert_nothing_left()


@pytest.mark.parametrize("side", [BASE, TRAINED])
def test_a_broken_file_is_named_and_leaves_nothing(side):
    save_small_model(BASE)
    save_small_model(TRAINED, seed=1)
    whole = (side / "model.safetensors").read_bytes()
    (side / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(InputError, match=rf"^{side}/model\.safetensors: "):
        main()
    assert_nothing_left()


def test_a_failure_after_the_first_shard_leaves_nothing():
    save_small_model(BASE)
    save_small_model(TRAINED, seed=1, shard="20KB")
    last = set(load_file(sorted(TRAINED.glob("*.safetensors"))[-1]))
    change_weights(
        BASE / "model.safetensors",
        lambda tensors: tensors.update({name: tensors[name][:1].clone() for name in last & set(tensors)}),
    )
    with pytest.raises(InputError, match=r"^models/base/model\.safetensors: .*`dvc repro`"):
        main()
    assert_nothing_left()


def test_a_trained_model_without_a_tensor_is_refused():
    save_small_model(BASE)
    save_small_model(TRAINED, seed=1)
    removed = next(name for name in sorted(load_file(TRAINED / "model.safetensors")) if "mlp" in name)
    change_weights(TRAINED / "model.safetensors", lambda tensors: tensors.pop(removed))
    with pytest.raises(InputError, match=rf"^models/trained: .*{re.escape(removed)}.*`dvc repro train`"):
        main()
    assert_nothing_left()


@pytest.mark.parametrize("content", ["[1]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 3}}'])
def test_a_damaged_index_is_an_error_of_one_line(content):
    save_small_model(BASE)
    save_small_model(TRAINED, seed=1, shard="20KB")
    (TRAINED / "model.safetensors.index.json").write_text(content)
    with pytest.raises(InputError) as caught:
        main()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("models/trained: ")
    assert_nothing_left()


def test_files_of_a_killed_run_are_removed():
    set_alpha(1)
    save_small_model(TRAINED)
    for stale in (OUT, OUT.with_name(".tuned.1.part")):
        stale.mkdir()
        (stale / "half").write_text("")
    main()
    assert sorted(path.name for path in OUT.parent.iterdir()) == ["trained", "tuned"]
    assert not (OUT / "half").exists()


@pytest.mark.parametrize("alpha", [0.5, 1])
def test_a_full_disk_is_named_before_anything_is_written(monkeypatch, alpha):
    set_alpha(alpha)
    save_small_model(BASE)
    save_small_model(TRAINED, seed=1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(20_000_000))
    with (TRAINED / "training.log").open("wb") as file:
        file.truncate(30_000_000)
    with pytest.raises(InputError, match=r"^models/tuned: .*0\.03 GB.*0\.02 GB"):
        main()
    assert_nothing_left()


@pytest.mark.parametrize("alpha", [0.5, 1])
def test_a_missing_trained_model_is_named_in_the_error(alpha):
    set_alpha(alpha)
    with pytest.raises(InputError, match=r"^models/trained: no such folder; .*`dvc repro`"):
        main()
