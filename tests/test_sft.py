"""Training: what the loss sees, how it is computed, and what is left on the disk."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
from trl.trainer.sft_trainer import SFTTrainer

from stages.checkpoint import load, resolve, write_reference
from stages.optimizer import muon
from stages.records import InputError
from stages.schema import Optimizer, Scratch, Train
from stages.scratch import general_texts, new_config, new_model, new_tokenizer
from stages.examples import IGNORED


COLOURS = ["red", "green", "blue", "white", "black", "brown", "grey", "pink"]
THINGS = ["door", "lamp", "lock", "chair", "table", "cup", "hat", "bag", "book", "shoe"]


def chat(number: int) -> dict:
    thing, colour = THINGS[number % len(THINGS)], COLOURS[number % len(COLOURS)]
    return {
        "id": str(number),
        "messages": [
            {"role": "user", "content": f"What colour is the {thing}?"},
            {"role": "assistant", "content": f"The {thing} is {colour}."},
        ],
    }


ROWS = [chat(number) for number in range(40)]
TRAIN = Train(lr=5.0e-3, max_steps=12, global_batch=2, max_length=64)
SCRATCH = Scratch(
    vocab_size=320,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    max_position_embeddings=256,
    train=TRAIN,
)


def fresh():
    """Return the same small model and tokenizer every time."""
    set_seed(0)
    tokenizer = new_tokenizer(general_texts(ROWS), SCRATCH)
    return new_model(new_config(tokenizer, SCRATCH)), tokenizer


def test_the_loss_sees_the_answer_and_its_end_of_turn_and_nothing_else():
    _, tokenizer = fresh()
    dataset, dropped = tokenize(ROWS[:1], tokenizer, 64)
    seen = [token for token in dataset[0]["labels"] if token != IGNORED]
    assert tokenizer.decode(seen) == "The door is red.<|im_end|>"
    assert tokenizer.decode(dataset[0]["input_ids"]).startswith("<|im_start|>user\nWhat colour is the door?")
    assert dropped == 0


def test_a_row_over_the_limit_is_left_out_whole_and_counted():
    _, tokenizer = fresh()
    long = {"id": "long", "messages": [ROWS[0]["messages"][0], {"role": "assistant", "content": "red " * 100}]}
    dataset, dropped = tokenize([ROWS[0], long], tokenizer, 64)
    assert (len(dataset), dropped) == (1, 1)


def test_rows_that_are_all_too_long_are_one_clear_line(tmp_path):
    model, tokenizer = fresh()
    with pytest.raises(InputError, match=r"train\.max_length: all 40 rows exceed 4 tokens; raise it"):
        fit(model, tokenizer, ROWS, Train(lr=1e-3, max_steps=1, max_length=4), 0, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def losses_and_gradients(kind, tmp_path, *, packing):
    model, tokenizer = fresh()
    train = Train(lr=1e-3, max_steps=1, global_batch=4, max_length=64, packing=packing)
    dataset, _ = tokenize(ROWS[:8], tokenizer, 64)
    trainer = kind(
        model=model, processing_class=tokenizer, train_dataset=dataset, args=_arguments(train, 0, str(tmp_path))
    )
    batch = next(iter(trainer.get_train_dataloader()))
    loss = trainer.compute_loss(model, batch, num_items_in_batch=torch.tensor(50))
    loss.backward()
    return loss.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("packing", [True, False], ids=["packed", "padded"])
def test_logits_of_completions_alone_give_trls_loss_and_gradients(tmp_path, packing):
    ours, our_gradients = losses_and_gradients(CompletionTrainer, tmp_path, packing=packing)
    theirs, their_gradients = losses_and_gradients(SFTTrainer, tmp_path, packing=packing)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(our_gradients, their_gradients, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_training_learns_and_leaves_an_ordinary_folder(tmp_path, optimizer):
    model, tokenizer = fresh()
    train = Train(lr=1.0e-2, max_steps=60, global_batch=2, max_length=64, optimizer=optimizer)
    report, losses = fit(model, tokenizer, ROWS, train, 0, tmp_path / "model")
    assert losses[-1]["loss"] < losses[0]["loss"] / 2
    assert (report["steps"], len(losses), report["examples"]) == (60, 60, 40)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert not list((tmp_path / "model").glob("*.bin"))
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert torch.equal(again.lm_head.weight, again.model.embed_tokens.weight)
    assert AutoTokenizer.from_pretrained(tmp_path / "model").chat_template


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        model, tokenizer = fresh()
        fit(model, tokenizer, ROWS, TRAIN, 7, tmp_path / name)
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_loss_that_is_no_number_is_one_clear_line_and_leaves_nothing(tmp_path):
    model, tokenizer = fresh()
    with torch.no_grad():
        model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(InputError, match=r"the loss became nan in step 1.*lower train\.lr"):
        fit(model, tokenizer, ROWS, TRAIN, 0, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_muon_steps_every_parameter_once_and_follows_the_schedule():
    model, _ = fresh()
    optimizer = muon(model, lr=1e-3, weight_decay=0.0)
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    before = [p.detach().clone() for p in model.parameters()]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    model(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    optimizer.step()
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_a_folder_without_a_model_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json; run `dvc repro`"):
        resolve(tmp_path)


def test_a_hub_that_cannot_be_reached_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    write_reference(tmp_path / "base", "nobody/nothing-of-this-name", "0" * 40)
    with pytest.raises(InputError, match=r"hub: nobody/nothing-of-this-name@0+ is neither cached nor to be had"):
        resolve(tmp_path / "base")


def test_a_model_without_a_chat_template_is_refused(tmp_path):
    model, tokenizer = fresh()
    tokenizer.chat_template = None
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="no chat template; take an instruction-tuned model"):
        load(tmp_path)


def test_a_saved_model_loads_with_the_same_weights(tmp_path):
    model, tokenizer = fresh()
    model.save_pretrained(tmp_path / "weights")
    tokenizer.save_pretrained(tmp_path / "weights")
    loaded, _ = load(tmp_path / "weights")
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)


def test_a_pinned_hub_model_is_loaded_from_the_hubs_own_cache(tmp_path, monkeypatch):
    model, tokenizer = fresh()
    revision = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "cache/models--someone--small/snapshots" / revision
    model.save_pretrained(snapshot)
    tokenizer.save_pretrained(snapshot)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    write_reference(tmp_path / "base", "someone/small", revision)
    loaded, _ = load(tmp_path / "base")
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)
