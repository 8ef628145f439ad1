"""The card of a tuned model says where the base model's weights came from."""

import pytest

from alloy.training.model_card import format_card
from alloy.training.report import compute_general_share
from tiny_model import TRAIN

FILE = {"source": "gguf", "name": "a.gguf", "sha256": "ab" * 32}
FOLDER = {"source": "path", "name": "given", "sha256": "cd" * 32}
WHEEL = {"package": "a-model", "version": "0.1.2", "file": "a/a.gguf"}


def write_card(origin):
    source = {"customer": {"examples": 30, "passes": 60, "tokens": 900, "loss_tokens": 90}}
    source["made"] = {"examples": 10, "passes": 20, "tokens": 100, "loss_tokens": 10}
    report = {"steps": 1, "source": source, "general_share": compute_general_share(source)}
    return format_card(TRAIN, 0, ("models/base", None), origin, [], report)


def test_a_model_from_scratch_has_no_origin_in_its_card():
    assert "sha256 `" not in write_card(None)


@pytest.mark.parametrize("more", [{}, WHEEL])
def test_the_card_says_that_weights_of_a_gguf_file_were_dequantized(more):
    (line,) = (line for line in write_card({**FILE, **more}).splitlines() if "a.gguf" in line)
    assert "dequantized" in line and FILE["sha256"] in line
    assert ("`a-model` 0.1.2" in line) == bool(more)


def test_the_card_has_the_name_and_the_hash_of_a_folder():
    (line,) = (line for line in write_card(FOLDER).splitlines() if "`given`" in line)
    assert FOLDER["sha256"] in line and "dequantized" not in line
