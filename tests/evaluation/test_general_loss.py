"""The loss of each row equals transformers' loss, the KL is exact, and a model's layers are freed early enough."""

import math
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, GPT2Config, set_seed

from alloy.core.files import InputError
from alloy.evaluation import general_loss
from alloy.evaluation.general_loss import (
    Example,
    PairedLoss,
    SplitModel,
    count_row,
    encode_rows,
    open_models,
    summarize_losses,
)
from alloy.training.packing import IGNORED, tokenize_rows
from projects import make_dense_config, make_moe_config
from tiny_model import ROWS, make_tokenizer

TOKENS = make_tokenizer()
SUMS = ("base", "tuned", "kl")


def make_random_model(seed: int, config: Any = None) -> Any:
    """Return a model with logits that differ a lot, so that errors are visible."""
    config = config or make_dense_config()
    config.initializer_range = 0.3
    set_seed(seed)
    return AutoModelForCausalLM.from_config(config).eval()


def save_small_model(folder: Path, seed: int) -> Path:
    make_random_model(seed).save_pretrained(folder)
    TOKENS.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return save_small_model(folder / "base", 0), save_small_model(folder / "tuned", 1)


def measure_loss(base: Path, tuned: Path, rows: list[dict], max_length: int = 1024) -> list[dict]:
    paired = open_models(base, tuned, rows, max_length)
    return [paired.measure_row(row) for row in rows]


def compute_loss(model: Any, row: dict) -> tuple[float, int]:
    """Return (transformers' mean loss of a row encoded as in training, number of its tokens)."""
    (ids,), (labels,) = (tokenize_rows([row], TOKENS)[key] for key in ("input_ids", "labels"))
    with torch.inference_mode():
        found = model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels]))
    return float(found.loss), sum(label != IGNORED for label in labels)


def test_the_loss_of_every_row_is_the_loss_of_transformers_on_the_tokens_of_training(models: tuple[Path, Path]) -> None:
    whole = make_random_model(0), make_random_model(1)
    for row, found in zip(ROWS, measure_loss(*models, ROWS), strict=True):
        for name, model in zip(("base", "tuned"), whole, strict=True):
            loss, tokens = compute_loss(model, row)
            assert found["tokens"] == tokens
            assert found[name] / tokens == pytest.approx(loss, abs=1e-5)


def test_the_divergence_of_a_model_from_itself_is_0(models: tuple[Path, Path]) -> None:
    for row in measure_loss(models[0], models[0], ROWS[:5]):
        assert row["kl"] == 0.0
        assert row["base"] == row["tuned"] > 0


def test_the_divergence_matches_a_softmax_computed_by_hand() -> None:
    # One position whose next token is 1. Probabilities: base 1/2, 1/4, 1/4; tuned 1/4, 1/2, 1/4.
    base, tuned = (make_table_model(probabilities) for probabilities in ([0.5, 0.25, 0.25], [0.25, 0.5, 0.25]))
    example = Example("a", [2, 1], 1, truncated=False)
    before, after = SplitModel(base), SplitModel(tuned)
    found = PairedLoss([example], [before.compute_hidden_states(example)], before, after).measure_row({"id": "a"})
    expected = 0.5 * math.log(0.5 / 0.25) + 0.25 * math.log(0.25 / 0.5) + 0.25 * math.log(0.25 / 0.25)
    assert found["kl"] == pytest.approx(expected, abs=1e-6)
    assert (found["base"], found["tuned"]) == pytest.approx((math.log(4), math.log(2)), abs=1e-6)
    backward = PairedLoss([example], [after.compute_hidden_states(example)], after, before).measure_row({"id": "a"})[
        "kl"
    ]
    assert backward == pytest.approx(expected, abs=1e-6)


TINY: Any = {"vocab_size": 3, "bos_token_id": 0, "eos_token_id": 0}


def make_table_model(probabilities: list[float]) -> Any:
    """Return a real model of three tokens that gives these probabilities after any token."""
    config = GPT2Config(**TINY, n_embd=2, n_layer=1, n_head=1, n_positions=4, tie_word_embeddings=False)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.copy_(torch.tensor([1.0, 0.0]))
        model.lm_head.weight.copy_(torch.tensor(probabilities).log()[:, None] * torch.tensor([[1.0, 0.0]]))
    return model


GEMMA = {"vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16}
GEMMA |= {"num_attention_heads": 2, "num_key_value_heads": 1, "final_logit_softcapping": 2.0, "pad_token_id": 0}
ARCHITECTURES = {
    "tied embeddings": make_dense_config,
    "experts": make_moe_config,
    "a soft cap on logits": lambda: Gemma2Config(**GEMMA),
    "layers under another name": lambda: GPT2Config(**{**TINY, "vocab_size": 320}, n_embd=32, n_layer=2, n_head=2),
}


@pytest.mark.parametrize("config", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_a_split_model_gives_the_logits_of_the_whole_model_after_its_layers_are_freed(config: Any) -> None:
    expected_model, model = make_random_model(3, config()), make_random_model(3, config())
    example = Example("a", list(range(20, 50)), 10, truncated=False)
    layers = weakref.ref(model.base_model)
    split = SplitModel(model)
    states = split.compute_hidden_states(example)
    split.free_layers()
    assert layers() is None
    with torch.inference_mode():
        expected = expected_model(input_ids=torch.tensor([example.tokens])).logits[0, 9:-1]
    assert states.shape[0] == 20
    torch.testing.assert_close(split.compute_logits(states), expected, rtol=1e-5, atol=1e-5)


def test_results_do_not_depend_on_how_many_positions_are_computed_at_a_time(
    models: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = measure_loss(*models, ROWS[:6])
    monkeypatch.setattr(general_loss, "POSITIONS", 2)
    for row, other in zip(expected, measure_loss(*models, ROWS[:6]), strict=True):
        assert [row[key] for key in SUMS] == pytest.approx([other[key] for key in SUMS], abs=1e-4)


def test_the_result_of_a_row_does_not_depend_on_other_rows(models: tuple[Path, Path]) -> None:
    assert measure_loss(*models, ROWS[3:4]) == measure_loss(*models, ROWS[:6])[3:4]


def test_a_long_row_is_cut_and_one_with_a_long_prompt_is_left_out(models: tuple[Path, Path]) -> None:
    question = [{"role": "user", "content": "What colour is the door?"}]
    answer = "The door is red. " * 12
    rows = [{"id": "cut", "messages": [*question, {"role": "assistant", "content": answer}]}]
    turns = [{"role": "user", "content": answer}, {"role": "assistant", "content": "Red."}]
    rows.append({"id": "skipped", "messages": turns})
    max_length = 30
    cut, skipped = measure_loss(*models, rows, max_length)
    (example,) = encode_rows(rows, TOKENS, max_length)
    assert (len(example.tokens), cut["tokens"], cut["truncated"]) == (max_length, max_length - example.start, True)
    assert skipped == {"id": "skipped", "tokens": 0}
    (uncut_example,) = encode_rows(rows[:1], TOKENS, 10_000)
    assert uncut_example.tokens[:max_length] == example.tokens
    totals: Counter[str] = Counter()
    assert [count_row(row, totals) is None for row in (cut, skipped)] == [False, True]
    found = summarize_losses(totals)["tuned"]["loss"]
    assert [found[key] for key in ("rows", "tokens", "truncated", "skipped")] == [1, cut["tokens"], 1, 1]


def test_the_report_is_per_token_over_all_rows() -> None:
    totals: Counter[str] = Counter()
    rows = [(1, 2.0, 3.0, 0.5), (3, 1.0, 1.0, 0.25)]
    for number, (tokens, base, tuned, kl) in enumerate(rows):
        count_row(
            {"id": str(number), "tokens": tokens, "base": base, "tuned": tuned, "kl": kl, "truncated": False}, totals
        )
    counted = {"rows": 2, "tokens": 4, "truncated": 0, "skipped": 0}
    assert summarize_losses(totals) == {
        "base": {"loss": {**counted, "general": 0.75, "kl": 0.0}},
        "tuned": {"loss": {**counted, "general": 1.0, "kl": 0.1875}},
    }


def test_without_a_row_that_fits_the_error_names_the_setting() -> None:
    with pytest.raises(InputError, match=r"^general_loss\.max_length: .*\b3\b"):
        summarize_losses(Counter(skipped=3))


def test_weights_that_are_not_finite_are_an_error_that_names_the_row(models: tuple[Path, Path], tmp_path: Path) -> None:
    broken = make_random_model(1)
    with torch.no_grad():
        broken.model.norm.weight[0] = torch.nan
    broken.save_pretrained(tmp_path)
    TOKENS.save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"^models/tuned: .*'0'.* got nan; .* train\.lr$"):
        measure_loss(models[0], tmp_path, ROWS[:1])
    with pytest.raises(InputError, match=r"^models/base: .*'0'.* got nan; .* model\.scratch\.train\.lr "):
        measure_loss(tmp_path, models[0], ROWS[:1])
