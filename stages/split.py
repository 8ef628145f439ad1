"""Split the comments into train and test, and write down the task they define.

Reads   data/prepared/comments/: comments.jsonl, taxonomy.csv, and where their rows are from
Writes  data/split/train.jsonl, test.jsonl, taxonomy.json, task.json; rejects.json (rows with a fault), leaks.json
        (comments left out of both, with their like on the other side), contradictions.json (texts that come with
        different labels); metrics/split.json (counts)
Run     dvc repro split

A comment that names its `split` goes there. Any other goes where the first one before it went that is nearly the same,
else to test when the hash of its folded text falls below `split.test`: comments added behind the others never move
these. Rare leaves follow the same rule, since one by their counts would move comments when others come; a leaf that is
in test alone is counted here, and scored apart as `unseen`.
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
from alloy.splitting.consistency import describe_inconsistencies, find_contradictions
from alloy.splitting.divide import divide_comments, require_both_sides
from alloy.splitting.read_comments import read_comments, require_good_rows
from alloy.splitting.settings import Split
from alloy.splitting.validate import CheckedComments


def counts(survey: CheckedComments, sides: np.ndarray, contradictions: list[Row]) -> Row:
    """Return how many comments went where, how many are copies or quote what is not there, and the leaves by side."""
    seen = {side: {leaf for place in _places(sides, side) for leaf in survey.leaves[place]} for side in (TRAIN, TEST)}
    return {
        "train": int((sides == TRAIN).sum()),
        "test": int((sides == TEST).sum()),
        "rejected": len(survey.rejects),
        "left_out": int(len(sides) - np.isin(sides, (TRAIN, TEST)).sum()),
        "contradictory_texts": len(contradictions),
        "contradictory_comments": sum(one["comments"] for one in contradictions),
        "copies": len(sides) - len(np.unique(survey.table["key"])),
        "unquoted": int((~survey.table["quoted"]).sum()),
        "leaves_in_train": len(seen[TRAIN]),
        "leaves_in_test": len(seen[TEST]),
        "leaves_in_test_alone": len(seen[TEST] - seen[TRAIN]),
    }


def _places(sides: np.ndarray, side: int) -> Iterator[int]:
    return iter(np.flatnonzero(sides == side).tolist())


def main() -> None:
    """Read, check, divide, write."""
    split = Split.load()
    source = Path("data/prepared/comments")
    warnings: list[str] = []
    taxonomy = load_taxonomy(source / "taxonomy.csv", warnings.append)
    survey = read_comments(source / "comments.jsonl", taxonomy)
    origin = read_origin(source / "comments.jsonl")
    survey.rejects[:] = map(origin.name_source, survey.rejects)
    require_good_rows(survey, split)
    sides, left_out = divide_comments(survey, split.test, split.near)
    contradictions = find_contradictions(survey)
    found = counts(survey, sides, contradictions)
    require_both_sides(sides, origin.files[0])
    out = Path("data/split")
    for name, side in (("train", TRAIN), ("test", TEST)):
        write_lines(out / f"{name}.jsonl", (survey.rows[place] for place in _places(sides, side)))
    write_json(out / "taxonomy.json", taxonomy.to_rows())
    write_json(out / "task.json", survey.describe_task(taxonomy))
    write_json(out / "rejects.json", survey.rejects)
    leaks = [{"id": survey.comment_id(one), "like": survey.comment_id(other)} for one, other in left_out.items()]
    write_json(out / "leaks.json", leaks)
    write_json(out / "contradictions.json", contradictions)
    write_json("metrics/split.json", {"split": found})
    print(
        f"split: {found['train']} train, {found['test']} test, {found['rejected']} rejected, {found['left_out']} left "
        f"out as like the other side; {found['leaves_in_test_alone']} of {len(taxonomy.leaves)} leaves in test alone"
    )
    achieved = found["test"] / len(sides)
    if (survey.table["named_side"] == FREE).all() and abs(achieved - split.test) > max(
        0.05, 3 * (0.25 / len(sides)) ** 0.5
    ):
        print(
            f"split: {achieved:.0%} of the comments are test where split.test is {split.test:.0%}: many are "
            "alike and stay together; take out what they share, or raise split.near"
        )
    if found["unquoted"]:
        warnings.append(f"{found['unquoted']} comments have a segment whose `content` is not in their text")
    warnings += describe_unknown_keys(origin.files[0], survey.unknown, KEYS)
    warnings += describe_inconsistencies(survey, contradictions, out / "contradictions.json")
    print("".join(f"split: {warning}\n" for warning in warnings), end="")


if __name__ == "__main__":
    gc.disable()  # rows hold no cycles, and the search for some takes a third of the time
    run(main)
