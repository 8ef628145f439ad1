"""Chat rows as tensors: which tokens have a loss, nothing is cut, and packed rows train like unpacked rows."""

import numpy as np
import pytest
import torch
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from alloy.core.files import InputError
from alloy.modeling.chat_examples import AssistantTurns, count_tokens, encode_examples
from alloy.training.packing import (
    IGNORED,
    count_by_source,
    flatten_rows,
    prepare_examples,
    select_fitting,
    tokenize_rows,
)
from alloy.training.settings import LongRow, Train
from tiny_model import LONG, ROWS, TRAIN, make_model_and_tokenizer, make_tokenizer


def compute_loss_and_gradients(model, rows):
    """Return the mean loss over completion tokens of these packed rows in one forward pass each, and its gradients."""
    model.zero_grad()
    total = 0.0
    batches = [flatten_rows([row]) for row in rows]
    count = sum(batch["labels"].numel() for batch in batches)
    for batch in batches:
        labels, _ = batch.pop("labels"), batch.pop("category")
        logits = model(**batch, use_cache=False).logits[0]
        loss = torch.nn.functional.cross_entropy(logits, labels[0], reduction="sum") / count
        loss.backward()
        total += loss.item()
    return total, torch.cat([p.grad.flatten() for p in model.parameters()])


def test_only_the_answer_and_its_end_of_turn_have_a_loss():
    tokenizer = make_tokenizer()
    row = tokenize_rows(ROWS[:1], tokenizer)[0]
    seen = [token for token in row["labels"] if token != IGNORED]
    assert tokenizer.decode(seen) == "The door is red.<|im_end|>"
    assert tokenizer.decode(row["input_ids"]).startswith("<|im_start|>user\nWhat colour is the door?")


def test_a_token_has_the_category_of_its_row():
    examples = prepare_examples(ROWS, make_tokenizer(), Train(lr=1e-3, packing=False))
    assert examples.categories == ["customer", "facts"]
    assert set(examples.dataset[0]["category"]) == {1}
    assert set(examples.dataset[1]["category"]) == {0}


def test_a_row_over_the_limit_is_dropped_and_counted():
    examples = prepare_examples([*ROWS, LONG], make_tokenizer(), TRAIN)
    assert (examples.example_count, examples.dropped) == (40, 1)


def test_a_row_over_the_limit_is_an_error_by_default():
    longest = len(tokenize_rows([LONG], make_tokenizer())["input_ids"][0])
    with pytest.raises(InputError, match=rf"^train\.max_length: 1 of 41 .*\b64\b.*'long'.*\b{longest}\b"):
        prepare_examples([*ROWS, LONG], make_tokenizer(), Train(lr=1e-3, max_length=64))


def test_selected_rows_keep_their_indices():
    rows = [LONG, *ROWS[:3], LONG, *ROWS[3:]]
    whole = select_fitting(rows, make_tokenizer(), TRAIN, "train")
    assert [numbers[0] for numbers in whole["example"]] == [*range(1, 4), *range(5, 42)]
    assert whole["input_ids"] == tokenize_rows(ROWS, make_tokenizer())["input_ids"]


def test_the_tokens_of_rows_are_counted_as_they_are_trained_on():
    tokenizer = make_tokenizer()
    seen = tokenize_rows([*ROWS, LONG], tokenizer)
    expected = [(len(row["labels"]), sum(label != IGNORED for label in row["labels"])) for row in seen]
    assert list(map(tuple, count_tokens([*ROWS, LONG], tokenizer, AssistantTurns.all).tolist())) == expected


def test_prompt_and_completion_together_are_the_rendered_chat():
    tokenizer = make_tokenizer()
    for row, (ids, labels) in zip(ROWS, encode_examples(ROWS[:5], tokenizer, AssistantTurns.all), strict=False):
        text = tokenizer.apply_chat_template(row["messages"], tokenize=False)
        assert tokenizer.decode(ids) == text.removesuffix("\n")
        completion = [label for label in labels if label != IGNORED]
        assert tokenizer.decode(completion) == row["messages"][-1]["content"] + "<|im_end|>"
        assert ids[-len(completion) :] == completion


def test_only_rows_over_the_limit_are_an_error():
    with pytest.raises(InputError, match=r"^train\.max_length: .*\b40\b.*\b4\b"):
        prepare_examples(ROWS, make_tokenizer(), Train(lr=1e-3, max_length=4, on_long_row=LongRow.drop))


def test_a_template_that_renders_the_prompt_in_two_ways_names_the_row():
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{% if add_generation_prompt %}?{% endif %}{{ messages[0]['content'] }}"
    with pytest.raises(InputError, match=r"row '0': .*chat template"):
        prepare_examples(ROWS, tokenizer, TRAIN)


@pytest.mark.parametrize("packing", [True, False], ids=["packed", "unpacked"])
def test_every_example_is_in_a_row_whole_and_once_with_its_end_of_turn(packing):
    tokenizer = make_tokenizer()
    packed = prepare_examples(ROWS, tokenizer, Train(lr=1e-3, max_length=64, packing=packing)).dataset
    found = []
    for row in packed:
        assert row["seq_lengths"].sum() == len(row["input_ids"]) <= 64
        found += [part.tolist() for part in np.split(row["input_ids"], np.cumsum(row["seq_lengths"])[:-1])]
    assert sorted(found) == sorted(tokenize_rows(ROWS, tokenizer)["input_ids"])
    assert {part[-1] for part in found} == {tokenizer.eos_token_id}
    assert (len(packed) < 40) == packing


def test_the_work_of_a_row_is_its_tokens_squares_and_completions():
    examples = prepare_examples(ROWS, make_tokenizer(), Train(lr=1e-3, max_length=64))
    row, work = examples.dataset[0], examples.measure_work()[0]
    assert work.tolist() == [
        len(row["input_ids"]),
        sum(int(length) ** 2 for length in row["seq_lengths"]),
        int((row["labels"] != IGNORED).sum()),
    ]


def test_a_batch_has_logits_only_before_completion_tokens():
    rows = list(prepare_examples(ROWS, make_tokenizer(), Train(lr=1e-3, max_length=64)).dataset.select(range(2)))
    batch = flatten_rows(rows)
    whole = np.concatenate([row["labels"] for row in rows])
    assert batch["labels"][0].tolist() == whole[batch["logits_to_keep"] + 1].tolist()
    assert batch["labels"].numel() == (whole != IGNORED).sum()
    starts = (batch["position_ids"][0] == 0).sum().item()
    assert starts == sum(len(row["seq_lengths"]) for row in rows)


def test_packed_rows_give_the_loss_and_the_gradients_of_unpacked_rows():
    model, tokenizer = make_model_and_tokenizer()
    results = []
    for packing in (True, False):
        rows = list(prepare_examples(ROWS, tokenizer, Train(lr=1e-3, max_length=128, packing=packing)).dataset)
        results.append(compute_loss_and_gradients(model, rows))
    (packed, packed_gradients), (unpacked, unpacked_gradients) = results
    assert packed == pytest.approx(unpacked, abs=1e-6)
    torch.testing.assert_close(packed_gradients, unpacked_gradients, atol=1e-6, rtol=1e-5)


def test_an_example_cannot_see_the_one_before_it_in_its_row():
    model, tokenizer = make_model_and_tokenizer()
    row = prepare_examples(ROWS, tokenizer, Train(lr=1e-3, max_length=128)).dataset[0]
    batch = flatten_rows([row])
    positions = {name: batch[name] for name in ("input_ids", "position_ids")}
    first = int(row["seq_lengths"][0])
    before = model(**positions, use_cache=False).logits[0, first:]
    positions["input_ids"] = positions["input_ids"].clone()
    positions["input_ids"][0, :first] = 7
    torch.testing.assert_close(model(**positions, use_cache=False).logits[0, first:], before)


def test_the_loss_equals_the_loss_of_trl_on_padded_rows(tmp_path):
    model, tokenizer = make_model_and_tokenizer()
    loss, gradients = compute_loss_and_gradients(
        model, list(prepare_examples(ROWS[:8], tokenizer, Train(lr=1e-3, max_length=64)).dataset)
    )
    model.zero_grad()
    rows = tokenize_rows(ROWS[:8], tokenizer).select_columns(["input_ids", "labels"])
    arguments = SFTConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=8, max_length=64, report_to="none", use_cpu=True
    )
    trainer = SFTTrainer(model=model, processing_class=tokenizer, train_dataset=rows, args=arguments)
    batch = next(iter(trainer.get_train_dataloader()))
    count = (batch["labels"] != IGNORED).sum()
    trl_loss = trainer.compute_loss(model, batch, num_items_in_batch=count)
    trl_loss.backward()
    assert loss == pytest.approx(trl_loss.item(), abs=1e-5)
    torch.testing.assert_close(
        gradients, torch.cat([p.grad.flatten() for p in model.parameters()]), atol=1e-6, rtol=1e-4
    )


def make_chat(number):
    """Return a chat of one to three answers."""
    turns = [turn for row in ROWS[number : number + 1 + number % 3] for turn in row["messages"]]
    return {**ROWS[number], "messages": turns}


SEVERAL = [make_chat(number) for number in range(30)]


@pytest.mark.parametrize("turns", list(AssistantTurns))
@pytest.mark.parametrize("packing", [True, False], ids=["packed", "unpacked"])
def test_only_the_answers_of_packed_chats_have_a_loss(packing, turns):
    tokenizer = make_tokenizer()
    examples = prepare_examples(
        SEVERAL, tokenizer, Train(lr=1e-3, max_length=128, packing=packing, assistant_turns=turns)
    )
    found = {}
    for row, members in zip(examples.dataset, examples.row_examples, strict=True):
        parts = np.split(row["labels"], np.cumsum(row["seq_lengths"])[:-1])
        assert len(parts) == len(members)
        for member, labels in zip(members, parts, strict=True):
            found[member] = tokenizer.decode([label for label in labels if label != IGNORED])
    for index, row in enumerate(SEVERAL):
        answers = [turn["content"] for turn in row["messages"] if turn["role"] == "assistant"]
        answers = answers if turns is AssistantTurns.all else answers[-1:]
        assert found.pop(index) == "".join(f"{answer}<|im_end|>" for answer in answers)
    assert not found


def test_packed_chats_with_several_answers_have_the_loss_of_unpacked_chats():
    model, tokenizer = make_model_and_tokenizer()
    results = []
    for packing in (True, False):
        rows = list(prepare_examples(SEVERAL, tokenizer, Train(lr=1e-3, max_length=128, packing=packing)).dataset)
        results.append(compute_loss_and_gradients(model, rows))
    (packed, packed_gradients), (unpacked, unpacked_gradients) = results
    assert packed == pytest.approx(unpacked, abs=1e-6)
    torch.testing.assert_close(packed_gradients, unpacked_gradients, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("packing", [True, False], ids=["packed", "unpacked"])
@pytest.mark.parametrize("order", [[0], [3, 1, 4], [0, 1, 2, 3, 4, 5, 0, 1, 0]], ids=["one", "some", "more than once"])
def test_examples_and_tokens_are_counted_by_source_for_the_rows_in_the_order(packing, order):
    examples = prepare_examples(
        [*SEVERAL, LONG], make_tokenizer(), TRAIN.model_copy(update={"packing": packing, "max_length": 100})
    )
    assert examples.dropped == 1
    shown = [member for index in order for member in examples.row_examples[index]]
    counts = count_tokens(SEVERAL, make_tokenizer(), AssistantTurns.all)
    seen = count_by_source(examples, order)
    for source in ("customer", "made"):
        members = [member for member in shown if SEVERAL[member]["source"] == source]
        tokens, loss_tokens = counts[members].sum(axis=0).tolist()
        expected = {"examples": len(set(members)), "passes": len(members), "tokens": tokens, "loss_tokens": loss_tokens}
        assert seen.get(source, dict.fromkeys(expected, 0)) == expected
    work = examples.measure_work()[order].sum(axis=0)
    assert [sum(count[key] for count in seen.values()) for key in ("tokens", "loss_tokens")] == [work[0], work[2]]


@pytest.mark.parametrize("packing", [True, False], ids=["packed", "unpacked"])
def test_rows_that_the_mix_repeats_are_one_example(packing):
    rows = ROWS[:6]
    examples = prepare_examples([*rows, *rows], make_tokenizer(), TRAIN.model_copy(update={"packing": packing}))
    seen = count_by_source(examples, list(range(len(examples.row_examples))))
    tokens = count_tokens(rows, make_tokenizer(), AssistantTurns.all)
    for source in ("customer", "made"):
        total, loss = tokens[[row["source"] == source for row in rows]].sum(axis=0).tolist()
        assert seen[source] == {"examples": 3, "passes": 6, "tokens": 2 * total, "loss_tokens": 2 * loss}
