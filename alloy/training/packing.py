"""From chat rows to tensors: tokenized, packed, and flattened into one sequence per batch.

Packing, by example. Three chats of 5, 3 and 2 tokens and `max_length: 8`:

1. Encode each chat; tokens without a loss have the label `IGNORED`.
2. Pack with best-fit decreasing (Ding et al. 2024, "Fewer Truncations Improve Language Modeling"; the code is trl's):
   take the longest example first, and put each into the fullest row that it fits in. Here: rows of 5 + 3 and 2 tokens.
3. Concatenate the rows of a batch. Positions start again with each example, 0 1 2 3 4 | 0 1 2 | 0 1, so that the model
   separates the examples (`isolation.py` checks that it does). No padding is needed.

No example is ever cut.
"""

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
    """The packed training data.

    dataset: rows of at most `max_length` tokens, with the columns `input_ids`, `labels` (`IGNORED` for tokens without a
        loss), `category` (per token, an index into `categories`) and `seq_lengths` (of the examples in the row).
    categories: the names of the categories.
    row_examples: for each row of `dataset`, the indices of its examples among the input rows, in their order.
    ids: the id of each input row. Rows that the mix repeats have the same one.
    sources: the source of each input row.
    dropped: how many input rows are left out.
    """

    dataset: "Dataset"
    categories: list[str]
    row_examples: list[list[int]]
    ids: list[str]
    sources: list[str]
    dropped: int

    @property
    def example_count(self) -> int:
        """The number of examples to train on."""
        return sum(map(len, self.row_examples))

    def measure_work(self) -> np.ndarray:
        """Return (rows, 3): per row, its tokens, the sum of its examples' squared lengths, its tokens with a loss."""
        lengths = [np.asarray(row) for row in self.dataset["seq_lengths"]]
        labels = self.dataset["labels"]
        return np.array(
            [
                (row.sum(), (row.astype(np.int64) ** 2).sum(), (np.asarray(label) != IGNORED).sum())
                for row, label in zip(lengths, labels, strict=True)
            ],
            dtype=np.int64,
        )


def tokenize_rows(
    rows: list[Row], tokenizer: "PreTrainedTokenizerBase", turns: AssistantTurns = AssistantTurns.all
) -> "Dataset":
    """Return the encoded rows: `input_ids`, `labels`, `category` and `example` (the row's index), each per token."""
    from datasets import Dataset

    examples = encode_examples(rows, tokenizer, turns)
    category_index = {name: index for index, name in enumerate(list_categories(rows))}
    return Dataset.from_dict(
        {
            "input_ids": [ids for ids, _ in examples],
            "labels": [labels for _, labels in examples],
            "category": [
                [category_index[row["category"]]] * len(ids) for row, (ids, _) in zip(rows, examples, strict=True)
            ],
            "example": [[index] * len(ids) for index, (ids, _) in enumerate(examples)],
        }
    )


def list_categories(rows: list[Row]) -> list[str]:
    """Return the categories of the rows, in alphabetical order."""
    return sorted({row["category"] for row in rows})


def prepare_examples(
    rows: list[Row], tokenizer: "PreTrainedTokenizerBase", train: Train, key: str = "train"
) -> Examples:
    """Return the rows as packed `Examples`.

    `train.on_long_row` decides about rows of more than `train.max_length` tokens: they are dropped and counted, or
    raise `InputError`. `key` is the section of `train` in the profile.
    """
    fitting = select_fitting(rows, tokenizer, train, key)
    dataset, row_examples = pack_examples(fitting, train)
    ids, sources = [row["id"] for row in rows], [row["source"] for row in rows]
    return Examples(dataset, list_categories(rows), row_examples, ids, sources, len(rows) - len(fitting))


def select_fitting(rows: list[Row], tokenizer: "PreTrainedTokenizerBase", train: Train, key: str) -> "Dataset":
    """Return the encoded rows of at most `train.max_length` tokens; their `example` is the index of the row."""
    from datasets import disable_progress_bars

    disable_progress_bars()
    encoded = tokenize_rows(rows, tokenizer, train.assistant_turns)
    lengths = [len(ids) for ids in encoded["input_ids"]]
    fitting = [index for index, length in enumerate(lengths) if length <= train.max_length]
    dropped = len(rows) - len(fitting)
    longest = max(lengths)
    if dropped and train.on_long_row is LongRow.stop:
        longest_id = rows[lengths.index(longest)]["id"]
        raise InputError(
            f"{key}.max_length: {dropped} of {len(rows)} rows have more than {train.max_length} tokens (the longest is "
            f"'{longest_id}' with {longest}); raise {key}.max_length in the profile, or set {key}.on_long_row: drop"
        )
    if not fitting:
        raise InputError(
            f"{key}.max_length: all {len(rows)} rows have more than {train.max_length} tokens; raise {key}.max_length "
            "in the profile"
        )
    return encoded.select(fitting)


def pack_examples(dataset: "Dataset", train: Train) -> "tuple[Dataset, list[list[int]]]":
    """Return (rows, indices of the examples in each row).

    With `train.packing`, rows hold several examples, up to `train.max_length` tokens (best-fit decreasing). Otherwise
    each row holds one. The rows have no column `example`.
    """
    if train.packing:
        from trl.data_utils import pack_dataset

        packed = pack_dataset(dataset, train.max_length, "bfd")
    else:
        packed = dataset.map(lambda row: {"seq_lengths": [len(row["input_ids"])]})
    packed = packed.with_format("numpy")
    row_examples = []
    for lengths, example in zip(packed["seq_lengths"], packed["example"], strict=True):
        ends = np.cumsum(lengths)
        row_examples.append(example[ends - 1].tolist())
    return packed.remove_columns("example"), row_examples


def count_by_source(examples: Examples, order: list[int]) -> dict[str, Row]:
    """Return what a training run used of each source. `order` has the indices of the rows that it used, in all epochs.

    In the result, `examples` counts each example once, even if several rows are copies of it. `passes`, `tokens` and
    `loss_tokens` count it each time that it was seen.
    """
    times = np.bincount(order, minlength=len(examples.row_examples))
    counts: dict[str, Row] = {}
    seen = set[tuple[str, str]]()  # source and id
    rows: Any = examples.dataset  # iterates over its rows, which its type does not say
    for row, row_examples, passes in zip(rows, examples.row_examples, times.tolist(), strict=True):
        if not passes:
            continue
        starts = np.cumsum(row["seq_lengths"]) - row["seq_lengths"]
        loss_tokens = np.add.reduceat(row["labels"] != IGNORED, starts, dtype=np.int64)
        lengths = row["seq_lengths"].tolist()
        for example, length, loss in zip(row_examples, lengths, loss_tokens.tolist(), strict=True):
            source, key = examples.sources[example], (examples.sources[example], examples.ids[example])
            count = counts.setdefault(source, dict.fromkeys(("examples", "passes", "tokens", "loss_tokens"), 0))
            count["examples"] += key not in seen
            count["passes"] += passes
            count["tokens"] += passes * length
            count["loss_tokens"] += passes * loss
            seen.add(key)
    return dict(sorted(counts.items()))


def flatten_rows_with_lengths(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the batch of `flatten_rows` with the lengths of its examples, for `packed_attention`."""
    return {**flatten_rows(rows), "example_lengths": [int(length) for row in rows for length in row["seq_lengths"]]}


def flatten_rows(rows: list[dict[str, Any]]) -> "dict[str, torch.Tensor]":
    """Return the batch of all `rows` as one sequence, whose positions start again with each example.

    input_ids, position_ids (1, tokens): the tokens and their positions.
    logits_to_keep (n,): the indices of the tokens before each token with a loss; logits are only needed there.
    labels, category (1, n): the tokens to predict at these indices, and their categories.
    """
    import torch

    ids, labels, category = (np.concatenate([row[key] for row in rows]) for key in ("input_ids", "labels", "category"))
    positions = np.concatenate([np.arange(length) for row in rows for length in row["seq_lengths"]])
    targets = np.flatnonzero(labels != IGNORED)
    return {
        "input_ids": torch.from_numpy(ids)[None].long(),
        "position_ids": torch.from_numpy(positions)[None].long(),
        "labels": torch.from_numpy(labels[targets])[None].long(),
        "category": torch.from_numpy(category[targets])[None].long(),
        "logits_to_keep": torch.from_numpy(targets - 1),
    }
