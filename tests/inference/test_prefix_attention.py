"""Rows with branches give the same logits as separate rows."""

import pytest
import torch

from alloy.inference.prefix_attention import SharedPrefix, Step
from tiny_model import make_model_and_tokenizer


def test_branches_come_right_after_the_stem_and_do_not_see_one_another() -> None:
    step = Step.for_branches([(2, [1, 2]), (1, [])], torch.device("cpu"))
    assert step.row.tolist() == [0, 0, 0, 0, 0, 1]
    assert step.cache_index.tolist() == [0, 1, 2, 3, 4, 0]
    assert step.positions.tolist() == [0, 1, 2, 2, 3, 0]
    assert step.last_indices.tolist() == [4, 5]
    assert step.stem_end is not None
    assert step.branch_start is not None
    assert (step.stem_end.tolist(), step.branch_start.tolist()) == ([2, 2, 2, 2, 2, 1], [0, 0, 2, 3, 3, 0])


def test_positions_are_cache_indices_without_branches() -> None:
    step = Step.for_rows([0, 1], [3, 0], [1, 2], torch.device("cpu"))
    assert step.positions.tolist() == step.cache_index.tolist() == [3, 0, 1]


def test_logits_of_branches_equal_logits_of_whole_rows() -> None:
    model, _ = make_model_and_tokenizer()
    model = model.eval()
    before = model.config._attn_implementation
    prefix, trees = [5, 6, 7], [([11, 12], [[13], [14, 15, 16]]), ([21], [[22, 23], []])]
    shared = SharedPrefix(model, prefix)
    shared.reserve_slots(len(prefix), len(trees), 6)
    ids = [token for stem, branches in trees for token in (*stem, *(token for branch in branches for token in branch))]
    step = Step.for_branches(
        [(len(stem), [len(branch) for branch in branches]) for stem, branches in trees], model.device
    )
    found = shared.forward(ids, step, torch.arange(len(ids)))
    model.set_attn_implementation(before)
    expected = []
    with torch.inference_mode():
        for stem, branches in trees:
            (logits,) = model(torch.tensor([[*prefix, *stem]])).logits
            expected += list(logits[len(prefix) :])
            for branch in branches:
                (logits,) = model(torch.tensor([[*prefix, *stem, *branch]])).logits
                expected += list(logits[len(prefix) + len(stem) :])
    assert found.flatten().tolist() == pytest.approx(torch.stack(expected).flatten().tolist(), abs=1e-5)
