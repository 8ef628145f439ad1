"""Convert complaints of the US Consumer Financial Protection Bureau (CFPB) to canonical comments and their taxonomy.

The raw files are the public CSV export (.csv, .csv.gz, .zip), or JSON Lines (.jsonl, .jsonl.gz) with rows
{id, text, labels: [{L1..L4}], split?}, and {L1..L4} for paths without complaints.

The levels are product, sub-product, issue and sub-issue. The taxonomy has the paths of all rows, even of complaints
without a published text. Copies of a text become one comment, with all their paths as segments.
"""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import orjson

from alloy.core.files import InputError, Row, write_atomically, write_jsonl
from alloy.core.tables import format_csv
from alloy.core.text import fold_text
from alloy.datasets.cfpb_export import EXPORT, LEVELS, Complaint, read_raw
from alloy.formats.comments import Segment, make_segment_row
from alloy.formats.taxonomy import LabelPath


class Merged(NamedTuple):
    """Complaints without copies.

    - `paths`: the paths of each text, by the hash of the text, in the order of the file
    - `leaves`: all paths
    - `counts`: rows that were left out, by reason
    """

    paths: dict[bytes, tuple[LabelPath, ...]]
    leaves: set[LabelPath]
    counts: Counter[str]


def merge_copies(complaints: Iterable[Complaint], spool: IO[bytes]) -> Merged:
    """Write each distinct text once to the file `spool`, and return the paths. The texts may not fit in memory.

    Texts are distinct if their `fold_text` differs. The first complaint with a text gives the id and the split.
    """
    merged = Merged({}, set(), Counter())
    ids: set[str] = set()
    shared: dict[tuple[LabelPath, ...], tuple[LabelPath, ...]] = {}  # equal tuples of paths are stored once
    for identity, text, paths, split in complaints:
        merged.leaves.update(paths)
        if text is None:
            continue
        if not text.strip():
            merged.counts["without text"] += 1
            continue
        if identity in ids:
            merged.counts["repeated ids"] += 1
            continue
        if identity:
            ids.add(identity)
        digest = hashlib.blake2b(fold_text(text).encode(), digest_size=16).digest()
        known = merged.paths.get(digest, ())
        together = tuple(dict.fromkeys(known + paths))
        merged.paths[digest] = shared.setdefault(together, together)
        if known:
            merged.counts["copies"] += 1
            continue
        row = {"id": identity or f"cfpb-{digest.hex()}", "lang": "en", "text": text}
        spool.write(orjson.dumps(row | ({"split": split} if split else {}), option=orjson.OPT_APPEND_NEWLINE))
    return merged


def yield_comments(spool: IO[bytes], merged: Merged) -> Iterator[Row]:
    """Yield the canonical comments: the texts in `spool`, with their paths as segments."""
    spool.seek(0)
    for line, paths in zip(spool, merged.paths.values(), strict=True):
        yield {**orjson.loads(line), "segments": [make_segment_row(Segment(path), LEVELS) for path in paths]}


def format_taxonomy_csv(leaves: Iterable[LabelPath]) -> str:
    """Return the sorted taxonomy as CSV text. The CFPB has no descriptions."""
    return format_csv([*LEVELS, "description"], ([*leaf, ""] for leaf in sorted(leaves)))


def convert_cfpb(raw: Path, out: Path) -> list[str]:
    """Write comments.jsonl and taxonomy.csv from the files below `raw`; return the lines to print."""
    with tempfile.TemporaryFile(dir=out) as spool:
        merged = merge_copies(read_raw(raw), spool)
        if not merged.paths:
            raise InputError(f"{raw}: no complaint has a text; use the export with narratives: {EXPORT}")
        write_jsonl(out / "comments.jsonl", yield_comments(spool, merged))
    text = format_taxonomy_csv(merged.leaves)
    write_atomically(out / "taxonomy.csv", lambda file: file.write_text(text, encoding="utf-8"))
    reasons = ", ".join(f"{merged.counts[reason]} {reason}" for reason in ("copies", "repeated ids", "without text"))
    return [f"{len(merged.paths)} comments, {len(merged.leaves)} paths; left out: {reasons}"]
