"""Split the comments into train and test, and write down the task they define.

Reads   data/<comments>/comments.jsonl, data/<comments>/taxonomy.csv
Writes  data/split/train.jsonl, test.jsonl, taxonomy.json, task.json, rejects.json
Run     dvc repro split

A comment that names its `split` goes there. Any other goes to test when the hash of its normalised text falls
below `split.test`: new comments never move old ones, and copies of one text stay on one side.
"""

from pathlib import Path

from stages.comments import Comment, normalised, parse_comment, unit_hash
from stages.entry import run
from stages.experiment import BadRow
from stages.params import load_params
from stages.records import InputError, Row, decode_lines, write_json, write_jsonl
from stages.taxonomy import Taxonomy, load_taxonomy

SHOWN = 20  # faults printed before the rest is only counted


def read_comments(path: Path, taxonomy: Taxonomy) -> tuple[list[Comment], list[Row]]:
    """Return the good comments of a canonical file and, for each bad line, `{file, line, reason}`."""
    comments: list[Comment] = []
    rejects: list[Row] = []
    lines: dict[str, int] = {}
    for number, row in decode_lines(path):
        try:
            if isinstance(row, InputError):
                raise ValueError(str(row).split(": ", 1)[1])
            comment = parse_comment(row, taxonomy)
            if comment.id in lines:
                raise ValueError(f"id '{comment.id}' stands already in line {lines[comment.id]}; give each its own id")
        except ValueError as fault:
            rejects.append({"file": str(path), "line": number, "reason": str(fault)})
        else:
            lines[comment.id] = number
            comments.append(comment)
    return comments, rejects


def divide(comments: list[Comment], share: float) -> tuple[list[Comment], list[Comment]]:
    """Return (train, test), each in the order of the file."""
    train: list[Comment] = []
    test: list[Comment] = []
    for comment in comments:
        held_out = comment.split == "test" if comment.split else unit_hash(normalised(comment.text)) < share
        (test if held_out else train).append(comment)
    return train, test


def describe_task(comments: list[Comment], taxonomy: Taxonomy) -> Row:
    """Return what the data defines: levels, whether segments carry their text, emotions, the most segments."""
    segments = [segment for comment in comments for segment in comment.segments]
    return {
        "levels": list(taxonomy.levels),
        "leaves": len(taxonomy.leaves),
        "has_content": any(segment.content is not None for segment in segments),
        "emotions": sorted({segment.emotion for segment in segments if segment.emotion is not None}),
        "most_segments": max(len(comment.segments) for comment in comments),
    }


def main() -> None:
    """Read, check, divide, write."""
    params = load_params()
    source = Path("data") / params.data.comments
    taxonomy = load_taxonomy(source / "taxonomy.csv")
    comments, rejects = read_comments(source / "comments.jsonl", taxonomy)
    faults = [f"{reject['file']}:{reject['line']}: {reject['reason']}" for reject in rejects]
    if faults and (params.split.on_bad_row is BadRow.stop or not comments):
        rest = [f"and {len(faults) - SHOWN} more bad rows"] if len(faults) > SHOWN else []
        leave_out = ", or set split.on_bad_row: reject to leave them out" if comments else "; no good row is left"
        mend = f"no split was made; correct the rows{leave_out}"
        raise InputError("\n".join([*faults[:SHOWN], *rest, mend]))
    train, test = divide(comments, params.split.test)
    if not train or not test:
        raise InputError(
            f"{source / 'comments.jsonl'}: {len(train)} train and {len(test)} test comments; "
            "add comments or change split.test so that both sides have some"
        )
    out = Path("data/split")
    write_jsonl(out / "train.jsonl", (comment.to_row(taxonomy.levels) for comment in train))
    write_jsonl(out / "test.jsonl", (comment.to_row(taxonomy.levels) for comment in test))
    write_json(out / "taxonomy.json", taxonomy.to_rows())
    write_json(out / "task.json", describe_task(comments, taxonomy))
    write_json(out / "rejects.json", rejects)
    print(f"split: {len(train)} train, {len(test)} test, {len(rejects)} rejected, {len(taxonomy.leaves)} leaves")


if __name__ == "__main__":
    run(main)
