"""Split the comments into training set and test set, and write the task that they define.

Reads   data/prepared/comments/: comments.jsonl, taxonomy.csv, and the origin of their rows
Writes  data/split/train.jsonl, test.jsonl, taxonomy.json, task.json; rejects.json (bad rows), near_duplicates.json
        (comments left out of both sets, with their near-duplicate in the other set), contradictions.json (equal texts
        with different labels); metrics/split.json (counts)
Run     dvc repro split

Rules, in this order:

1. A comment with a `split` goes to that set.
2. A comment with an earlier near-duplicate goes to the same set as the first of these.
3. Any other comment goes to test if the hash of its folded text is below `split.test`, else to train.

So comments that are added at the end never move earlier ones. There is no special rule for rare leaves: a rule by
counts would move comments when others are added. Leaves that are only in test are counted here and scored as
`unseen`.
"""

import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from alloy.core.files import Row, write_json, write_lines
from alloy.core.stage import run
from alloy.core.unknown_keys import describe_unknown_keys
from alloy.formats.comments import KEYS
from alloy.formats.origin import read_origin
from alloy.formats.taxonomy import load_taxonomy
from alloy.splitting.assignment import FREE, TEST, TRAIN
from alloy.splitting.consistency import describe_contradictions, describe_label_problems, find_contradictions
from alloy.splitting.divide import divide_comments, require_train_and_test
from alloy.splitting.read_comments import read_comments, require_good_rows
from alloy.splitting.settings import Split
from alloy.splitting.validate import CheckedComments


def count_split(comments: CheckedComments, subsets: np.ndarray, contradictions: list[Row]) -> Row:
    """Return the metrics: comments per set, rejected, contradictory, copies and unquoted, and leaves per set."""
    leaves = {
        subset: {leaf for index in _list_indices(subsets, subset) for leaf in comments.leaves[index]}
        for subset in (TRAIN, TEST)
    }
    return {
        "train": int((subsets == TRAIN).sum()),
        "test": int((subsets == TEST).sum()),
        "rejected": len(comments.rejects),
        "left_out": int(len(subsets) - np.isin(subsets, (TRAIN, TEST)).sum()),
        "contradictory_texts": len(contradictions),
        "contradictory_comments": sum(contradiction["comments"] for contradiction in contradictions),
        "copies": len(subsets) - len(np.unique(comments.table["key"])),
        "unquoted": int((~comments.table["quoted"]).sum()),
        "leaves_in_train": len(leaves[TRAIN]),
        "leaves_in_test": len(leaves[TEST]),
        "leaves_in_test_alone": len(leaves[TEST] - leaves[TRAIN]),
    }


def _list_indices(subsets: np.ndarray, subset: int) -> Iterator[int]:
    return iter(np.flatnonzero(subsets == subset).tolist())


def main() -> None:
    """Read and check the comments, split them, write both sets and the task."""
    split = Split.load()
    source = Path("data/prepared/comments")
    warnings: list[str] = []
    taxonomy = load_taxonomy(source / "taxonomy.csv", warnings.append)
    comments = read_comments(source / "comments.jsonl", taxonomy)
    origin = read_origin(source / "comments.jsonl")
    comments.rejects[:] = map(origin.name_source, comments.rejects)
    require_good_rows(comments, split)
    subsets, left_out = divide_comments(comments, split.test, split.near_duplicate_threshold)
    contradictions = find_contradictions(comments)
    metrics = count_split(comments, subsets, contradictions)
    require_train_and_test(subsets, origin.files[0])
    out = Path("data/split")
    for name, subset in (("train", TRAIN), ("test", TEST)):
        write_lines(out / f"{name}.jsonl", (comments.rows[index] for index in _list_indices(subsets, subset)))
    write_json(out / "taxonomy.json", taxonomy.to_rows())
    write_json(out / "task.json", comments.describe_task(taxonomy))
    write_json(out / "rejects.json", comments.rejects)
    near_duplicates = [
        {"id": comments.read_id(left_out_index), "like": comments.read_id(duplicate_index)}
        for left_out_index, duplicate_index in left_out.items()
    ]
    write_json(out / "near_duplicates.json", near_duplicates)
    write_json(out / "contradictions.json", contradictions)
    write_json("metrics/split.json", {"split": metrics})
    print(
        f"split: {metrics['train']} train, {metrics['test']} test, {metrics['rejected']} rejected, "
        f"{metrics['left_out']} left out as near-duplicates of the other set; "
        f"{metrics['leaves_in_test_alone']} of {len(taxonomy.leaves)} leaves only in test"
    )
    achieved = metrics["test"] / len(subsets)
    if (comments.table["given_subset"] == FREE).all() and abs(achieved - split.test) > max(
        0.05, 3 * (0.25 / len(subsets)) ** 0.5
    ):
        print(
            f"split: expected {split.test:.0%} of the comments in test (split.test), got {achieved:.0%}: many are "
            "near-duplicates and stay together; remove the text that they share, or raise "
            "split.near_duplicate_threshold"
        )
    warnings += describe_unknown_keys(origin.files[0], comments.unknown, KEYS)
    warnings += describe_label_problems(comments)
    warnings += describe_contradictions(contradictions, out / "contradictions.json")
    print("".join(f"split: {warning}\n" for warning in warnings), end="")


if __name__ == "__main__":
    gc.disable()  # rows have no reference cycles, and searching for them takes a third of the time
    run(main)
