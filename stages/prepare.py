"""Convert a data set of any supported format to the canonical files that the other stages read.

Reads   data/<folder>/: the data, and source.yaml, which describes it (docs/formats.md)
Writes  data/prepared/<kind>/: comments.jsonl, taxonomy.csv, label_warnings.json (labels that look the same, if any),
        origin.json and lines.npy (the file and line of each row) for `comments`; general.jsonl, origin.json,
        lines.npy, rejected.jsonl (bad rows, if they are left out) for `general`; test.jsonl, dev.jsonl
        for `benchmark`; ifeval.jsonl for `instructions`; prompts.jsonl for `chat`
Run     dvc repro prepare@comments
"""

import gc
import sys
from pathlib import Path

from alloy.core.files import InputError, write_folder
from alloy.core.settings import Data, GeneralRows, load_sections
from alloy.core.stage import run
from alloy.datasets.prepare import prepare_data
from alloy.datasets.source import Kind

PREPARED = Path("data/prepared")


def main() -> None:
    """Find the folder of the kind of data given as argument, convert the data, write."""
    if len(sys.argv) != 2 or sys.argv[1] not in set(Kind):
        raise InputError(
            f"stages.prepare: expected one kind of data ({', '.join(Kind)}), got '{' '.join(sys.argv[1:])}'; "
            "example: `python -m stages.prepare comments`"
        )
    kind = Kind(sys.argv[1])
    data, general_rows = load_sections(Data, GeneralRows)
    folder = Path("data") / getattr(data, kind)
    messages: list[str] = []
    write_folder(PREPARED / kind, lambda out: messages.extend(prepare_data(folder, kind, out, general_rows.on_bad_row)))
    print("".join(f"prepare: {kind} from {folder}: {line}\n" for line in messages), end="")


if __name__ == "__main__":
    gc.disable()  # rows have no reference cycles, and searching for them takes a third of the time
    run(main)
