"""The README.md of a tuned model: what it was made from, how, and what training showed."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import orjson
import yaml

from stages.records import Row
from stages.scale import Train

FRONT = "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags: [alloy]\n{base}---\n"


def sha256(path: Path) -> str:
    """Return the hash of a file, or of the names and hashes of the files below a folder."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(path)}\0{sha256(file)}\0".encode())
    return digest.hexdigest()


def card(
    rows: list[Row], train: Train, seed: int, base: tuple[str, str | None], inputs: list[Path], report: Row
) -> str:
    """Return the card, in Markdown. It holds nothing that differs between two runs of the same experiment."""
    name, revision = base
    front = FRONT.format(base=f"base_model: {name}\n" if revision else "")
    mix = Counter(row["category"] for row in rows)
    params = yaml.safe_dump(orjson.loads(orjson.dumps(train)) | {"seed": seed}, sort_keys=False)
    return "\n".join(
        [
            front,
            "# A model tuned on customer comments",
            "",
            f"Made by Alloy from `{name}`{f' at `{revision}`' if revision else ''}. What it scores is in "
            "`metrics/summary.json` of the repository and commit that made it.",
            "",
            "## Training data",
            "",
            *table(("rows of", "count", "share"), [(k, n, f"{n / len(rows):.1%}") for k, n in sorted(mix.items())]),
            "",
            *table(("input", "sha256"), [(f"`{path}`", f"`{sha256(path)}`") for path in inputs]),
            "",
            "## Training",
            "",
            *table(("metric", "value"), list(report.items())),
            "",
            "```yaml",
            params + "```",
            "",
        ]
    )


def table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> list[str]:
    """Return the lines of a table in Markdown; what a cell says stays in it."""
    lines: list[tuple[object, ...]] = [head, tuple("---" for _ in head), *rows]
    cells = ([" ".join(str(cell).split()).replace("|", "\\|") for cell in line] for line in lines)
    return ["| " + " | ".join(line) + " |" for line in cells]
