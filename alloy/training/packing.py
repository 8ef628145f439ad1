"""Chat rows to tensors: tokenised, packed without contamination, and flattened into one sequence a batch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, Row
from alloy.modeling.chat_template import encode_examples
from alloy.training.settings import LongRow, Train

if TYPE_CHECKING:
    import numpy as np
    import torch
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

IGNORED = -100  # a label that takes no part in the loss


@dataclass
class Examples:
    """What a model is trained on.

    `dataset` has a row of tokens at most `max_length` long with columns `input_ids`, `labels` (`IGNORED` but for the
    completions), `category` (index into `categories` for each token) and `seq_lengths` (of the examples in the row).
    """

    dataset: "Dataset"
    categories: list[str]
    examples: int
    dropped: int

    def work(self) -> "np.ndarray":
        """Return (rows, 3): each row's tokens, the sum of its examples' squared lengths, its completion tokens."""
        import numpy as np

        lengths = [np.asarray(row) for row in self.dataset["seq_lengths"]]
        labels = self.dataset["labels"]
        return np.array(
            [
                (row.sum(), (row.astype(np.int64) ** 2).sum(), (np.asarray(label) != IGNORED).sum())
                for row, label in zip(lengths, labels, strict=True)
            ],
            dtype=np.int64,
        )


def tokenize(rows: list[Row], tokenizer: "PreTrainedTokenizerBase") -> "Dataset":
    """Return `input_ids`, `labels` and `category` a row."""
    from datasets import Dataset

    prompt_ids, completion_ids = encode_examples(rows, tokenizer)
    index = {name: number for number, name in enumerate(categories(rows))}
    return Dataset.from_dict(
        {
            "input_ids": [prompt + completion for prompt, completion in zip(prompt_ids, completion_ids, strict=True)],
            "labels": [
                [IGNORED] * len(prompt) + completion
                for prompt, completion in zip(prompt_ids, completion_ids, strict=True)
            ],
            "category": [
                [index[row["category"]]] * (len(prompt) + len(completion))
                for row, prompt, completion in zip(rows, prompt_ids, completion_ids, strict=True)
            ],
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
    whole, short = fitting(rows, tokenizer, train, key)
    return Examples(pack(whole, train), categories(rows), len(short), len(rows) - len(short))


def fitting(
    rows: list[Row], tokenizer: "PreTrainedTokenizerBase", train: Train, key: str
) -> "tuple[Dataset, list[int]]":
    """Return the tokenised examples that are no longer than `train.max_length`, and which of `rows` they are."""
    from datasets import disable_progress_bars

    disable_progress_bars()
    whole = tokenize(rows, tokenizer)
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
    return whole.select(short), short


def pack(dataset: "Dataset", train: Train) -> "Dataset":
    """Return the examples put together into rows of up to `train.max_length`, best fit first, or each by itself."""
    if train.packing:
        from trl.data_utils import pack_dataset

        return pack_dataset(dataset, train.max_length, "bfd").with_format("numpy")
    return dataset.map(lambda row: {"seq_lengths": [len(row["input_ids"])]}).with_format("numpy")


def flatten_with_lengths(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what `flatten` does, and the lengths of the examples, for `packed_attention`."""
    return {**flatten(rows), "example_lengths": [int(length) for row in rows for length in row["seq_lengths"]]}


def flatten(rows: list[dict[str, Any]]) -> "dict[str, torch.Tensor]":
    """Return one sequence of all `rows`, whose positions start again with each example.

    The model keeps examples with positions of their own apart, so that no padding is needed. `input_ids` and
    `position_ids` are (1, tokens). Logits are wanted where a completion token comes next: `logits_to_keep` (n,) are
    those places, `labels` and `category` (1, n) the tokens to predict there and what they belong to.
    """
    import numpy as np
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
