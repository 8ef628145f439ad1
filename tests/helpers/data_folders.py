"""Write data folders, and prepare them as the stage `prepare` does."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from alloy.core.files import Row, read_jsonl, write_folder
from alloy.datasets.prepare import prepare_data
from alloy.datasets.source import Kind
from alloy.formats.taxonomy import LabelPath, load_taxonomy

OUT = Path("data/prepared")


def write_source(files: dict[str, bytes | str], source: Row | None = None, name: str = "mine") -> Path:
    """Write the files of data/<name>, below the current folder, and its source.yaml."""
    folder = Path("data") / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    if source is not None:
        (folder / "source.yaml").write_text(yaml.safe_dump(source, allow_unicode=True), encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Prepared:
    """The outputs: canonical rows, the leaves of the taxonomy if there is one, and the printed lines."""

    rows: list[Row]
    leaves: list[LabelPath]
    printed: list[str]


def prepare_folder(folder: Path, kind: str = "comments") -> Prepared:
    """Prepare the data of a folder."""
    printed: list[str] = []
    out = OUT / kind
    write_folder(out, lambda part: printed.extend(prepare_data(folder, Kind(kind), part)))
    names = {"comments": "comments", "general": "general", "instructions": "ifeval", "chat": "prompts"}
    rows: list[Any] = read_jsonl(out / f"{names[kind]}.jsonl") if kind in names else []
    taxonomy = out / "taxonomy.csv"
    return Prepared(rows, list(load_taxonomy(taxonomy).leaves) if taxonomy.is_file() else [], printed)
