"""What a data folder holds: its `source.yaml`.

The file describes one source; a folder with data of several kinds has one source per kind, under the kind's name:

    comments: {format: csv, file: reviews.csv, columns: {text: Review, levels: [Topic]}}
    general: {format: alpaca, file: instructions.json, license: MIT}

A folder without the file holds the canonical files under their own names: `format: jsonl`.
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from alloy.core.files import InputError
from alloy.core.settings import Document, Settings, refuse
from alloy.core.tables import SEPARATORS
from alloy.core.yaml_text import read_yaml

SOURCE = "source.yaml"
COMMIT = re.compile(r"[0-9a-f]{40}")


class Kind(StrEnum):
    """What data is for; the names are those of `data` in params.yaml."""

    comments = "comments"
    general = "general"
    benchmark = "benchmark"
    instructions = "instructions"
    chat = "chat"


class Format(StrEnum):
    """How the data is stored, or which converter reads it."""

    jsonl = "jsonl"
    csv = "csv"
    xlsx = "xlsx"
    parquet = "parquet"
    hub = "hub"
    alpaca = "alpaca"
    sharegpt = "sharegpt"
    openai = "openai"
    nova = "nova"
    cfpb = "cfpb"
    mams = "mams"
    mmlu = "mmlu"
    qa = "qa"
    ifeval = "ifeval"
    assistant = "assistant"
    demo = "demo"


class Layout(StrEnum):
    """What one row looks like, where the format leaves it open."""

    canonical = "canonical"  # as Alloy writes it
    columns = "columns"  # as `columns` says
    alpaca = "alpaca"  # {instruction, input, output}
    sharegpt = "sharegpt"  # {conversations: [{from, value}]}
    openai = "openai"  # {messages: [{role, content}]}


class RowIs(StrEnum):
    """What one row of a table is: a whole comment, or one segment of the comment that its id names."""

    comment = "comment"
    segment = "segment"


class Columns(Settings):
    """Which column of a table holds what; `levels` from the first level to the leaf.

    The second group is for instruction data: the defaults are alpaca's own names.
    """

    text: str | None = None
    levels: list[str] = Field(default_factory=list)
    content: str | None = None
    emotion: str | None = None
    id: str | None = None
    lang: str | None = None
    split: str | None = None
    weight: str | None = None

    instruction: str = "instruction"
    input: str = "input"
    output: str = "output"
    system: str = "system"
    category: str = "category"

    @property
    def of_comments(self) -> dict[str, str]:
        """The columns of a comment that are named, by what they hold; levels as L1, L2, and so on."""
        single = {name: getattr(self, name) for name in ("text", "content", "emotion", "id", "lang", "split", "weight")}
        levels = {f"L{depth}": column for depth, column in enumerate(self.levels, 1)}
        return {name: column for name, column in {**single, **levels}.items() if column is not None}


class Source(Document):
    """One source: where the data is, how it is stored, what its rows mean."""

    format: Format
    file: str | None = None  # a file of the folder, or a folder in it; null: the one that fits the format
    sheet: str | None = None  # of a workbook; null: the only one that is not hidden
    header: int = Field(default=1, ge=1)  # row with the column names
    separator: str | None = None  # of cells; null: found from the header
    encoding: str | None = None  # of a csv file; null: UTF-8 or UTF-16
    repository: str | None = None  # on the hub, with the commit, and if it has several, the subset
    revision: str | None = None
    subset: str | None = None
    part: str = "train"  # which split of the hub's data
    layout: Layout | None = None  # null: columns if `columns` names the text, else as the format says
    row_is: RowIs = RowIs.comment
    columns: Columns = Columns()
    label_separator: str | None = None  # between several labels in one cell
    path_separator: str | None = None  # between the levels in one cell
    keep_levels: int | None = Field(default=None, ge=1)  # of the labels, the first ones; null: all
    taxonomy: str | None = None  # a table in the folder; null: taxonomy.csv, or the labels in the data
    category: str | None = None  # of general rows that name none; null: as `source`
    source: str | None = None  # of general rows that name none; null: the repository or the folder
    license: str | None = None
    lang: str | None = None
    licenses: dict[str, str] = Field(default_factory=dict)  # by source, for rows that name none

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.separator is not None and self.separator not in SEPARATORS:
            raise refuse("separator", self.separator, "one of " + ", ".join(map(repr, SEPARATORS)))
        if self.format is Format.hub and self.repository is None:
            raise refuse("repository", None, "a repository of the hub such as databricks/databricks-dolly-15k")
        if self.repository is not None and not COMMIT.fullmatch(self.revision or ""):
            raise refuse("revision", self.revision, "the commit of the repository, 40 hexadecimal digits")
        if self.path_separator is not None and len(self.columns.levels) != 1:
            raise refuse("columns.levels", self.columns.levels, "one column where path_separator is set")
        if self.row_is is RowIs.segment and self.columns.id is None and self.columns.text is None:
            raise refuse("columns.id", None, "the column by which the segments of a comment are found")
        return self

    @property
    def row_layout(self) -> Layout:
        """What one row looks like."""
        if self.layout is not None:
            return self.layout
        if self.format in (Format.alpaca, Format.sharegpt, Format.openai):
            return Layout(self.format.value)
        return Layout.columns if self.columns.text is not None else Layout.canonical


def read_source(folder: Path, kind: Kind) -> Source:
    """Return the source of a kind of data in a folder; what is missing or wrong raises `InputError`."""
    if not folder.is_dir():
        known = sorted(path.name for path in folder.parent.glob("*/") if (path / SOURCE).is_file())
        found = "it is a file" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {found}; params.yaml: data.{kind} can be {', '.join(known) or 'none yet'}")
    path = folder / SOURCE
    if not path.is_file():
        return Source(format=Format.jsonl)
    values = read_yaml(path)
    if not isinstance(values, dict) or not values:
        raise InputError(f"{path}: expected `key: value` lines such as `format: csv`")
    if "format" not in values and values.keys() <= set(Kind):
        if kind not in values:
            raise InputError(f"{path}: it holds {', '.join(values)}, not {kind}; name another folder for data.{kind}")
        return Source.parse(f"{path}: {kind}", values[kind])
    return Source.parse(str(path), values)
