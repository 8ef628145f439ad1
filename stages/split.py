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
from functools import partial
from pathlib import Path

import numpy as np

from alloy.core.files import InputError, Row, number_lines, write_json, write_lines
from alloy.core.stage import run
from alloy.core.unknown_keys import describe_unknown_keys
from alloy.formats.comments import KEYS
from alloy.formats.origin import read_origin
from alloy.formats.taxonomy import Taxonomy, load_taxonomy
from alloy.runtime.parallel import over_blocks
from alloy.splitting.assignment import FREE, TEST, TRAIN, assign, copies
from alloy.splitting.consistency import describe_inconsistencies, find_contradictions
from alloy.splitting.near_duplicates import between, candidates, near_pairs, shelves, unseen
from alloy.splitting.settings import BadRow, Split
from alloy.splitting.validate import Survey, examine, gather

SHOWN = 20  # faults printed before the rest is only counted
ROUNDS = 5  # of looking for test comments that are nearly one of train, where many are alike
LETTERS = 300  # of a fault, at most


def read_survey(path: Path, taxonomy: Taxonomy) -> Survey:
    """Return what is to be known of a file of comments, with a bar on a terminal."""
    from tqdm import tqdm

    with tqdm(number_lines(path), unit=" comments", desc="split", disable=None, dynamic_ncols=True) as lines:
        return gather(path, over_blocks(partial(examine, path, taxonomy), lines))


def divide(survey: Survey, share: float, near: float) -> tuple[np.ndarray, dict[int, int]]:
    """Return each comment's side, and of each that is left out whom it is like (see alloy/splitting/assignment.py).

    Comments belong together when their texts are copies, or nearly the same at a likeness of `near`.
    """
    keys, given = survey.table["key"], survey.table["given"]
    pairs, first = copies(keys)
    sides, left_out = assign(keys, given, pairs, share)
    if near == 1:
        return sides, left_out
    signed = survey.table["signature"][first]
    shelved = shelves(signed, survey.table["halves"][first], near)
    looked_at = found = candidates(signed, shelved)
    for _ in range(ROUNDS):
        if not len(found):
            break
        pairs = np.unique(np.concatenate([pairs, near_pairs(first[found], near, survey.text)]), axis=0)
        sides, left_out = assign(keys, given, pairs, share)
        found = unseen(between(signed, shelved, sides[first] == TEST, sides[first] == TRAIN), looked_at)
        looked_at = np.concatenate([looked_at, found])
    return sides, left_out


def counts(survey: Survey, sides: np.ndarray, contradictions: list[Row]) -> Row:
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


def shortened(reason: str) -> str:
    """Return a fault as one line; what it quotes of the data may be long, with line breaks of its own."""
    line = " ".join(reason.split())
    return line if len(line) <= LETTERS else f"{line[: LETTERS - 3]}..."


def main() -> None:
    """Read, check, divide, write."""
    split = Split.load()
    source = Path("data/prepared/comments")
    warnings: list[str] = []
    taxonomy = load_taxonomy(source / "taxonomy.csv", warnings.append)
    survey = read_survey(source / "comments.jsonl", taxonomy)
    origin = read_origin(source / "comments.jsonl")
    survey.rejects[:] = map(origin.name, survey.rejects)
    faults = [f"{reject['file']}:{reject['line']}: {shortened(reject['reason'])}" for reject in survey.rejects]
    if faults and (split.on_bad_row is BadRow.stop or not survey.rows):
        rest = [f"and {len(faults) - SHOWN} more bad rows"] if len(faults) > SHOWN else []
        leave_out = ", or set split.on_bad_row: reject to leave them out" if survey.rows else "; no good row is left"
        raise InputError("\n".join([*faults[:SHOWN], *rest, f"no split was made; correct the rows{leave_out}"]))
    sides, left_out = divide(survey, split.test, split.near)
    contradictions = find_contradictions(survey)
    found = counts(survey, sides, contradictions)
    if not found["train"] or not found["test"]:
        raise InputError(
            f"{origin.files[0]}: {found['train']} train and {found['test']} test comments; "
            "add comments or change split.test so that both sides have some"
        )
    out = Path("data/split")
    for name, side in (("train", TRAIN), ("test", TEST)):
        write_lines(out / f"{name}.jsonl", (survey.rows[place] for place in _places(sides, side)))
    write_json(out / "taxonomy.json", taxonomy.to_rows())
    write_json(out / "task.json", survey.task(taxonomy))
    write_json(out / "rejects.json", survey.rejects)
    leaks = [{"id": survey.id(one), "like": survey.id(other)} for one, other in left_out.items()]
    write_json(out / "leaks.json", leaks)
    write_json(out / "contradictions.json", contradictions)
    write_json("metrics/split.json", {"split": found})
    print(
        f"split: {found['train']} train, {found['test']} test, {found['rejected']} rejected, {found['left_out']} left "
        f"out as like the other side; {found['leaves_in_test_alone']} of {len(taxonomy.leaves)} leaves in test alone"
    )
    achieved = found["test"] / len(sides)
    if (survey.table["given"] == FREE).all() and abs(achieved - split.test) > max(0.05, 3 * (0.25 / len(sides)) ** 0.5):
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
