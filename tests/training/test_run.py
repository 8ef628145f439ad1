"""A whole training: the loss goes down, the report is right, and the result is a complete model folder or none."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from alloy.core.files import InputError
from alloy.modeling.model_folder import load_model
from alloy.runtime.resume import get_work_root
from alloy.training.job import TrainingJob
from alloy.training.optimizer import make_muon
from alloy.training.report import make_loss_curve
from alloy.training.run import fit
from alloy.training.settings import Lora, Method, Optimizer, Train
from alloy.training.tiny_qwen import new_config
from tiny_model import LONG, ROWS, SCRATCH, TRAIN, make_model, make_model_and_tokenizer, make_tokenizer

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A new folder, with the work folders of its training runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


def run_training(train, out, *, key="0" * 16, seed=0, make=None, card=None):
    tokenizer = make_tokenizer()
    config = new_config(tokenizer, SCRATCH)
    return TrainingJob(
        stage="train",
        section="train",
        key=key,
        train=train,
        seed=seed,
        config=config,
        tokenizer=tokenizer,
        load_model=make or (lambda dtype: make_model(tokenizer)),
        output=out,
        format_card=card,
    )


def read_weights(folder):
    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_training_learns_and_leaves_an_ordinary_folder(project, optimizer):
    train = Train(lr=1.0e-2, max_steps=60, global_batch=2, max_length=64, optimizer=optimizer)
    report, curve = fit(run_training(train, project / "models/out"), ROWS)
    losses = [row["loss"] for row in curve if row["category"] == "all"]
    assert losses[-1] < losses[0] / 2
    assert (report["steps"], len(losses), report["examples"]) == (60, 60, 40)
    assert [path.name for path in (project / "models").iterdir()] == ["out"]
    assert not list((project / "models/out").glob("*.bin"))
    loaded = AutoModelForCausalLM.from_pretrained(project / "models/out")
    assert torch.equal(loaded.lm_head.weight, loaded.model.embed_tokens.weight)
    assert loaded.config.use_cache
    assert AutoTokenizer.from_pretrained(project / "models/out").chat_template


def test_the_report_counts_what_was_trained(project):
    report, curve = fit(run_training(TRAIN, project / "out"), [*ROWS, LONG])
    assert (report["examples"], report["dropped"], report["steps"]) == (40, 1, 12)
    assert 0 < report["loss_tokens"] < report["tokens"]
    assert report["tokens_per_second"] > 0
    assert 0 < report["core_hours"] < 1
    assert 0.1 < report["peak_memory"] < 100  # GiB
    assert {row["category"] for row in curve} == {"customer", "facts", "all"}
    assert report["loss"] == [row["loss"] for row in curve if row["category"] == "all"][-1]


def test_epochs_count_packed_rows_over_the_global_batch(project):
    train = Train(lr=1e-3, epochs=1.5, global_batch=3, max_length=64)
    report, _ = fit(run_training(train, project / "out"), ROWS)
    assert report["steps"] == -(-1.5 * 20 // 3)
    assert report["epochs"] == pytest.approx(1.5, abs=3 / 20)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(project):
    for name, seed in (("one", 7), ("two", 7), ("three", 8)):
        fit(run_training(TRAIN, project / name, key=name * 16, seed=seed), ROWS)
    one, two, three = ((project / name / "model.safetensors").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three


def test_a_loss_that_is_not_finite_is_an_error_and_leaves_no_model(project):
    def broken(dtype):
        model = make_model()
        with torch.no_grad():
            model.model.norm.weight.fill_(float("nan"))
        return model

    with pytest.raises(InputError, match=r"\bnan in step 1;.*\btrain\.lr"):
        fit(run_training(TRAIN, project / "out", make=broken), ROWS)
    assert not (project / "out").exists()
    assert not list(get_work_root().glob("*/checkpoint-*"))


def test_lora_trains_the_adapter_and_merges_it_into_an_ordinary_folder(project):
    train = Train(lr=5e-2, max_steps=30, global_batch=2, max_length=64, method=Method.lora, lora=Lora(rank=4))
    _, curve = fit(run_training(train, project / "out"), ROWS)
    assert curve[-1]["loss"] < curve[0]["loss"]
    before, after = make_model().state_dict(), read_weights(project / "out")
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if "_proj" in name}
    assert not list((project / "out").glob("adapter*"))


def test_lora_without_the_merge_leaves_an_adapter_that_loads_as_the_merged_model(project):
    tokenizer = make_tokenizer()
    make_model(tokenizer).save_pretrained("models/base")
    rows = {"max_steps": 10, "global_batch": 2, "max_length": 64, "method": Method.lora}
    for name, merge in (("merged", True), ("adapter", False)):
        run = run_training(Train(lr=5e-2, lora=Lora(merge=merge), **rows), project / "models" / name, key=name * 4)
        fit(TrainingJob(**{**vars(run), "base": ("models/base", None)}), ROWS)
    config = json.loads((project / "models/adapter/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "models/base"
    for path in (project / "models/adapter").iterdir():
        assert str(project).encode() not in path.read_bytes(), path
    merged, _ = load_model("models/merged")
    adapter, _ = load_model("models/adapter")
    ids = torch.tensor([tokenizer("What colour is the door?")["input_ids"]])
    torch.testing.assert_close(adapter(ids).logits, merged(ids).logits, atol=1e-5, rtol=1e-4)


def test_a_target_that_the_model_does_not_have_is_named_in_the_error(project):
    train = Train(lr=1e-3, max_steps=1, max_length=64, method=Method.lora, lora=Lora(targets=["no_such_layer"]))
    with pytest.raises(InputError, match=r"^train\.lora\.targets: .*no_such_layer"):
        fit(run_training(train, project / "out"), ROWS)


def test_gradient_checkpointing_changes_no_weight(project):
    for name, on in (("plain", False), ("checkpointed", True)):
        train = Train(lr=1e-3, max_steps=3, global_batch=2, max_length=64, gradient_checkpointing=on)
        fit(run_training(train, project / name, key=name * 4), ROWS)
    plain, checkpointed = read_weights(project / "plain"), read_weights(project / "checkpointed")
    for name, tensor in plain.items():
        torch.testing.assert_close(checkpointed[name], tensor, atol=1e-6, rtol=1e-5)


def test_the_size_of_the_device_batch_does_not_change_the_weights(project, monkeypatch):
    for name, rows in (("one", "1"), ("four", "4")):
        monkeypatch.setenv("ALLOY_DEVICE_ROWS", rows)
        train = Train(lr=1e-3, max_steps=3, global_batch=4, max_length=64)
        fit(run_training(train, project / name, key=name * 4), ROWS)
    one, four = read_weights(project / "one"), read_weights(project / "four")
    for name, tensor in one.items():
        torch.testing.assert_close(four[name], tensor, atol=1e-6, rtol=1e-5)


# An adapter hardly changes a random model of this size, so the penalty needs a large weight to have a visible effect.
@pytest.mark.parametrize(("method", "weight"), [(Method.full, 5.0), (Method.lora, 100.0)])
def test_the_kl_penalty_keeps_the_model_close_to_the_base_on_general_rows_only(project, method, weight):
    tokenizer = make_tokenizer()
    base = make_model(tokenizer)
    drift = {}
    for kl_weight in (0.0, weight):
        name = f"kl{kl_weight:g}"
        train = Train(lr=3e-2, max_steps=30, global_batch=4, max_length=64, kl_weight=kl_weight, method=method)
        fit(run_training(train, project / name, key=name * 4), ROWS)
        tuned = AutoModelForCausalLM.from_pretrained(project / name)
        for row in (0, 1):  # facts, customer
            ids = tokenizer.apply_chat_template(ROWS[row]["messages"], return_tensors="pt", return_dict=True)
            with torch.no_grad():
                expected, got = (m(**ids).logits.log_softmax(-1) for m in (base, tuned))
            drift[kl_weight, row] = (expected.exp() * (expected - got)).sum(-1).mean().item()
    assert drift[weight, 0] < 0.8 * drift[0.0, 0]
    with_penalty = Train(lr=1e-2, max_steps=5, global_batch=4, max_length=64, kl_weight=weight, method=method)
    without_penalty = Train(lr=1e-2, max_steps=5, global_batch=4, max_length=64, method=method)
    customer = [row for row in ROWS if row["category"] == "customer"]
    for name, train in (("with", with_penalty), ("without", without_penalty)):
        fit(run_training(train, project / name, key=name * 4), customer)
    assert (project / "with/model.safetensors").read_bytes() == (project / "without/model.safetensors").read_bytes()


def test_the_card_is_in_the_folder_of_the_weights(project):
    fit(run_training(TRAIN, project / "out", card=lambda report: f"{report['tokens']} tokens\n"), ROWS)
    assert (project / "out/README.md").read_text().endswith(" tokens\n")


def test_a_curve_has_the_mean_by_completion_token_of_each_span_of_steps():
    history = [
        {"step": step, "loss": 1.0, "loss/a": float(step), "tokens/a": 1.0, "loss/b": 2.0, "tokens/b": 3.0}
        for step in range(1, 401)
    ]
    curve = make_loss_curve(history, ["a", "b"], 400)
    assert len(curve) == 3 * 200
    assert curve[:3] == [
        {"step": 2, "category": "a", "loss": 1.5},
        {"step": 2, "category": "b", "loss": 2.0},
        {"step": 2, "category": "all", "loss": 1.875},
    ]


def test_a_category_without_tokens_in_a_span_has_no_point():
    curve = make_loss_curve([{"step": 1, "loss": 1.0, "loss/a": 1.0, "tokens/a": 2.0}], ["a", "b"], 1)
    assert [row["category"] for row in curve] == ["a", "all"]


def test_muon_steps_every_parameter_once_and_follows_the_schedule():
    model, _ = make_model_and_tokenizer()
    optimizer = make_muon(model, lr=1e-3, weight_decay=0.0)
    optimized = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(optimized) == sorted(id(p) for p in model.parameters())
    before = [p.detach().clone() for p in model.parameters()]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    model(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    optimizer.step()
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
