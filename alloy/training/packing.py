"""Chat rows to tensors: tokenised, packed without contamination, and flattened into one sequence a batch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alloy.core.files import InputError, Row
from alloy.modeling.chat_examples import IGNORED, AssistantTurns, encode_examples
from alloy.training.settings import LongRow, Train

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase


@dataclass
class Examples:
    """What a model is trained on.

    `dataset` has a row of tokens at most `max_length` long with columns `input_ids`, `labels` (`IGNORED` but for the
    answers that teach), `category` (index into `categories` for each token) and `seq_lengths` (of the examples in the
    row). `members` has for each of its rows the numbers of the examples in it, as they were given, in their order, and
    `sources` the source of each example that was given; `dropped` is how many are in no row.
    """

    dataset: "Dataset"
    categories: list[str]
    members: list[list[int]]
    sources: list[str]
    dropped: int

    @property
    def examples(self) -> int:
        """How many examples there are to train on."""
        return sum(map(len, self.members))

    def work(self) -> np.ndarray:
        """Return (rows, 3): each row's tokens, the sum of its examples' squared lengths, its tokens with a loss."""
        lengths = [np.asarray(row) for row in self.dataset["seq_lengths"]]
        labels = self.dataset["labels"]
        return np.array(
            [
                (row.sum(), (row.astype(np.int64) ** 2).sum(), (np.asarray(label) != IGNORED).sum())
                for row, label in zip(lengths, labels, strict=True)
            ],
            dtype=np.int64,
        )


def tokenize(
    rows: list[Row], tokenizer: "PreTrainedTokenizerBase", turns: AssistantTurns = AssistantTurns.all
) -> "Dataset":
    """Return `input_ids`, `labels`, `category` and `example`, the number of the row, for each token of each row."""
    from datasets import Dataset

    examples = encode_examples(rows, tokenizer, turns)
    index = {name: number for number, name in enumerate(categories(rows))}
    return Dataset.from_dict(
        {
            "input_ids": [ids for ids, _ in examples],
            "labels": [labels for _, labels in examples],
            "category": [[index[row["category"]]] * len(ids) for row, (ids, _) in zip(rows, examples, strict=True)],
            "example": [[number] * len(ids) for number, (ids, _) in enumerate(examples)],
        }
    )


def categories(rows: list[Row]) -> list[str]:
    """Return the categories of the rows, in alphabetical order."""
    return sorted({row["category"] for row in rows})


def prepare(rows: list[Row], tokenizer: "PreTrainedTokenizerBase", train: Train, key: str = "train") -> Examples:
    """Return the rows as `Examples`; an example is kept whole or not at all.

    One over `train.max_length` tokens is left out and counted, or raises, by `train.on_long_row`; `key` is where
    `train` stands in the profile.
    """
    whole = fitting(rows, tokenizer, train, key)
    dataset, members = pack(whole, train)
    return Examples(dataset, categories(rows), members, [row["source"] for row in rows], len(rows) - len(whole))


def fitting(rows: list[Row], tokenizer: "PreTrainedTokenizerBase", train: Train, key: str) -> "Dataset":
    """Return the tokenized examples that are no longer than `train.max_length`; `example` says which rows they are."""
    from datasets import disable_progress_bars

    disable_progress_bars()
    whole = tokenize(rows, tokenizer, train.assistant_turns)
    lengths = [len(ids) for ids in whole["input_ids"]]
    short = [number for number, length in enumerate(lengths) if length <= train.max_length]
    dropped = len(rows) - len(short)
    longest = max(lengths)
    if dropped and train.on_long_row is LongRow.stop:
        name = rows[lengths.index(longest)]["id"]
        raise InputError(
            f"{key}.max_length: {dropped} of {len(rows)} rows exceed {train.max_length} tokens, '{name}' with "
            f"{longest} the most; raise it in the profile, or set {key}.on_long_row: drop"
        )
    if not short:
        raise InputError(f"{key}.max_length: all {len(rows)} rows exceed {train.max_length} tokens; raise it")
    return whole.select(short)


def pack(dataset: "Dataset", train: Train) -> "tuple[Dataset, list[list[int]]]":
    """Return the examples put together into rows of up to `train.max_length`, best fit first, or each by itself.

    Beside the rows, without their column `example`, are the numbers of the examples in each.
    """
    if train.packing:
        from trl.data_utils import pack_dataset

        packed = pack_dataset(dataset, train.max_length, "bfd")
    else:
        packed = dataset.map(lambda row: {"seq_lengths": [len(row["input_ids"])]})
    packed = packed.with_format("numpy")
    members = []
    for lengths, example in zip(packed["seq_lengths"], packed["example"], strict=True):
        ends = np.cumsum(lengths)
        members.append(example[ends - 1].tolist())
    return packed.remove_columns("example"), members


def seen_by_source(examples: Examples, order: list[int]) -> dict[str, Row]:
    """Return what a training saw of each source, where `order` are the rows that it took, in all of its epochs.

    `examples` counts different ones; `passes` (each time that an example was seen), `tokens` and `loss_tokens` add up
    over the epochs.
    """
    times = np.bincount(order, minlength=len(examples.members))
    names = sorted(set(examples.sources))
    index = {name: number for number, name in enumerate(names)}
    counts = np.zeros((len(names), 4), np.int64)
    rows: Any = examples.dataset  # which iterates over its rows
    for row, members, count in zip(rows, examples.members, times.tolist(), strict=True):
        starts = np.cumsum(row["seq_lengths"]) - row["seq_lengths"]
        taught = np.add.reduceat(row["labels"] != IGNORED, starts, dtype=np.int64)
        for member, length, loss in zip(members, row["seq_lengths"].tolist(), taught.tolist(), strict=True):
            counts[index[examples.sources[member]]] += [count > 0, count, count * length, count * loss]
    keys = ("examples", "passes", "tokens", "loss_tokens")
    return {name: dict(zip(keys, row, strict=True)) for name, row in zip(names, counts.tolist(), strict=True) if row[0]}


def flatten_with_lengths(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what `flatten` does, and the lengths of the examples, for `packed_attention`."""
    return {**flatten(rows), "example_lengths": [int(length) for row in rows for length in row["seq_lengths"]]}


def flatten(rows: list[dict[str, Any]]) -> "dict[str, torch.Tensor]":
    """Return one sequence of all `rows`, whose positions start again with each example.

    The model keeps examples with positions of their own apart, so that no padding is needed. `input_ids` and
    `position_ids` are (1, tokens). Logits are wanted where a completion token comes next: `logits_to_keep` (n,) are
    those places, `labels` and `category` (1, n) the tokens to predict there and what they belong to.
    """
    import torch

    ids, labels, category = (np.concatenate([row[key] for row in rows]) for key in ("input_ids", "labels", "category"))
    positions = np.concatenate([np.arange(length) for row in rows for length in row["seq_lengths"]])
    places = np.flatnonzero(labels != IGNORED)
    return {
        "input_ids": torch.from_numpy(ids)[None].long(),
        "position_ids": torch.from_numpy(positions)[None].long(),
        "labels": torch.from_numpy(labels[places])[None].long(),
        "category": torch.from_numpy(category[places])[None].long(),
        "logits_to_keep": torch.from_numpy(places - 1),
    }
