"""A training step is traced to the rows that were in its batch."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from alloy.commands.trace import main, trace_rows
from alloy.core.files import InputError, read_jsonl, write_jsonl
from alloy.formats.general import CUSTOMER
from alloy.modeling.chat_template import encode, render_example
from alloy.modeling.model_folder import load_tokenizer, load_weights
from alloy.training.arguments import make_arguments
from alloy.training.job import TrainingJob
from alloy.training.library_warnings import silence_libraries
from alloy.training.packing import flatten_rows_with_lengths, prepare_examples
from alloy.training.settings import Train
from alloy.training.trainer import EpochSampler
from alloy.training.trainer_setup import make_trainer
from mix_rows import make_chat
from projects import make_dense_config, write_project

STEPS, BATCH = 6, 4
Row = dict[str, Any]


def make_chats() -> list[Row]:
    """Return rows whose answers have 1 to 13 words, and two rows that are too long; two ids are repeated."""
    sources = [CUSTOMER, "made", "other"]
    rows = [make_chat(str(n), sources[n % 3], sources[n % 3], 1 + n * 7 % 13) for n in range(38)]
    return [
        *rows[:20],
        make_chat("long", "made", "made", 90),
        *rows[20:],
        rows[4],
        rows[5],
        make_chat("end", "made", "made", 90),
    ]


@pytest.fixture(scope="module", params=[True, False], ids=["packed", "unpacked"])
def project(request, tmp_path_factory) -> Path:
    more = {"packing": request.param, "on_long_row": "drop", "max_steps": STEPS, "global_batch": BATCH}
    folder = write_project(tmp_path_factory.mktemp("traced"), make_dense_config(), **more)
    write_jsonl(folder / "data/mix/train.jsonl", make_chats())
    return folder


@pytest.fixture
def inside_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    return project


def run_trace(step: int, capsys: pytest.CaptureFixture[str]) -> list[Row]:
    main(step)
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def list_examples(packed: Row) -> list[tuple[int, ...]]:
    """Return the tokens of each example in a packed row."""
    parts = torch.split(torch.as_tensor(packed["input_ids"]), packed["seq_lengths"].tolist())
    return [tuple(part.tolist()) for part in parts]


def read_batches(project: Path) -> list[list[list[tuple[int, ...]]]]:
    """Train, and return the examples in each packed row of each step, as the Trainer collated them."""
    silence_libraries()
    base = project / "models/base"
    train, rows, tokenizer = Train.load("small"), read_jsonl("data/mix/train.jsonl"), load_tokenizer(base)
    weights = load_weights(base, torch.float32)
    run = TrainingJob("train", "train", "", train, 0, weights.config, tokenizer, lambda dtype: weights, project / "out")
    examples = prepare_examples(rows, tokenizer, train)
    arguments = make_arguments(run, len(examples.dataset))
    arguments.output_dir = str(project / "unused")
    trainer = make_trainer(run, examples, arguments)
    taken: list[list[tuple[int, ...]]] = []

    def collate(given: list[Row]) -> dict[str, torch.Tensor]:
        taken.extend(list_examples(row) for row in given)
        return flatten_rows_with_lengths(given)

    trainer.data_collator = collate
    trainer.train()
    assert trainer.state.global_step == STEPS
    return [taken[start : start + BATCH] for start in range(0, STEPS * BATCH, BATCH)]


def test_the_traced_rows_of_every_step_match_the_trainer(inside_project, capsys) -> None:
    tokenizer = load_tokenizer(inside_project / "models/base")
    rows = {row["id"]: row for row in make_chats()}
    written = encode(tokenizer, [render_example(tokenizer, row["messages"]) for row in rows.values()])
    ids = {identity: tuple(whole) for identity, whole in zip(rows, written, strict=True)}
    seen = set()
    for step, took in enumerate(read_batches(inside_project), 1):
        found = run_trace(step, capsys)
        assert {row["step"] for row in found} == {step}
        assert [row["packed"] for row in found] == sorted(row["packed"] for row in found)
        for number, examples in enumerate(took, 1):
            named = [row["id"] for row in found if row["packed"] == number]
            # The template ends an example with a line feed that training leaves out.
            assert [
                ids[identity][: len(example)] for identity, example in zip(named, examples, strict=True)
            ] == examples
            assert all(
                len(ids[identity]) - len(example) <= 1 for identity, example in zip(named, examples, strict=True)
            )
        assert all(row["source"] == rows[row["id"]]["source"] for row in found)
        seen |= {row["id"] for row in found}
    assert "long" not in seen
    assert len(seen) > 20


def test_the_steps_follow_the_order_of_the_packed_rows(inside_project, capsys) -> None:
    train = Train.load("small")
    packed = prepare_examples(make_chats(), load_tokenizer(inside_project / "models/base"), train).dataset
    order = list(EpochSampler(len(packed), STEPS * BATCH, 0))
    for step in (1, STEPS):
        found = run_trace(step, capsys)
        expected = [len(packed[index]["seq_lengths"]) for index in order[(step - 1) * BATCH : step * BATCH]]
        assert [sum(row["packed"] == number for row in found) for number in range(1, BATCH + 1)] == expected


def test_another_seed_uses_other_rows(inside_project, capsys) -> None:
    first = run_trace(1, capsys)
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(yaml.safe_dump({**yaml.safe_load(params), "seed": 1}))
    assert run_trace(1, capsys) != first
    Path("params.yaml").write_text(params)


@pytest.mark.parametrize("step", [0, STEPS + 1])
def test_a_step_outside_the_training_is_refused_with_the_range(inside_project, capsys, step: int) -> None:
    with pytest.raises(InputError, match=rf"^step: .* 1 to {STEPS}, .* got {step}$"):
        run_trace(step, capsys)


@pytest.mark.parametrize(("epochs", "steps"), [(1.0, 4), (2.5, 9), (0.1, 1)])
def test_without_max_steps_the_number_of_epochs_sets_the_steps(epochs: float, steps: int) -> None:
    rows = [make_chat(str(n), "made", "made") for n in range(7)]
    train = Train(lr=1e-3, epochs=epochs, global_batch=2)
    packed = [[number] for number in range(7)]
    assert len(list(trace_rows(rows, packed, train, 0, steps))) == 2
    with pytest.raises(InputError, match=f"1 to {steps}, .* got {steps + 1}$"):
        list(trace_rows(rows, packed, train, 0, steps + 1))


def test_an_epoch_uses_every_row_once() -> None:
    rows = [make_chat(str(n), "made", "made") for n in range(12)]
    packed = [[number] for number in range(12)]
    train = Train(lr=1e-3, epochs=2, global_batch=4)
    ids = [
        [row["id"] for step in steps for row in trace_rows(rows, packed, train, 3, step)]
        for steps in ((1, 2, 3), (4, 5, 6))
    ]
    assert sorted(ids[0]) == sorted(ids[1]) == sorted(row["id"] for row in rows)
    assert ids[0] != ids[1]
