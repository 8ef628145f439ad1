"""The `source.yaml` of a data folder, which describes its data.

The file describes one source. In a folder with several kinds of data, it has one source per kind:

    comments: {format: csv, file: reviews.csv, columns: {text: Review, levels: [Topic]}}
    general: {format: alpaca, file: instructions.json, license: MIT}

A folder without source.yaml has the canonical files (`format: jsonl`).
"""

import os
import re
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator

from alloy.core.files import InputError, join_errors
from alloy.core.setting_errors import make_error
from alloy.core.settings import Document, Settings
from alloy.core.tables import SEPARATORS
from alloy.core.yaml_text import read_yaml

SOURCE = "source.yaml"
COMMIT = re.compile(r"[0-9a-f]{40}")


class Kind(StrEnum):
    """The kinds of data, as in `data` in params.yaml."""

    comments = "comments"
    general = "general"
    benchmark = "benchmark"
    instructions = "instructions"
    chat = "chat"


class Format(StrEnum):
    """The file format, or the data set that has its own converter."""

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
    """The layout of one row, if the format allows several."""

    canonical = "canonical"  # Alloy's own layout
    columns = "columns"  # columns that `columns` names
    alpaca = "alpaca"  # {instruction, input, output}
    sharegpt = "sharegpt"  # {conversations: [{from, value}]}
    openai = "openai"  # {messages: [{role, content}]}


class RowIs(StrEnum):
    """Whether one row of a table is a whole comment, or one segment of the comment with its id."""

    comment = "comment"
    segment = "segment"


class Columns(Settings):
    """The column name of each field. `levels` lists the columns from the first level to the leaf.

    The second group is for instruction data; its defaults are the names of the layout alpaca.
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
        """The named columns of a comment, by field. Levels are L1, L2, and so on."""
        single = {name: getattr(self, name) for name in ("text", "content", "emotion", "id", "lang", "split", "weight")}
        levels = {f"L{depth}": column for depth, column in enumerate(self.levels, 1)}
        return {name: column for name, column in {**single, **levels}.items() if column is not None}


class Source(Document):
    """One source of data: its files, their format, and the meaning of their rows."""

    renamed: ClassVar[dict[str, str]] = {"part": "split"}
    format: Format
    file: str | None = None  # a file or folder in the data folder; null: found as in `find_data`
    sheet: str | None = None  # name of a sheet in a workbook; null: the only visible sheet with rows
    header: int = Field(default=1, ge=1)  # row number of the column names
    separator: str | None = None  # of cells; null: detected from the header
    encoding: str | None = None  # of a csv file; null: UTF-8 or UTF-16
    repository: str | None = None  # data set on the hub
    revision: str | None = None  # its commit
    subset: str | None = None  # if the data set has several
    split: str = "train"  # of the data set on the hub
    layout: Layout | None = None  # null: columns if `columns` names a text, else the layout of the format
    row_is: RowIs = RowIs.comment
    columns: Columns = Columns()
    label_separator: str | None = None  # between several labels in one cell
    path_separator: str | None = None  # between the levels in one cell
    keep_levels: int | None = Field(default=None, ge=1)  # the number of levels to keep, from the first; null: all
    taxonomy: str | None = None  # a table in the data folder; null: taxonomy.csv, or the labels in the data
    category: str | None = None  # of general rows without one; null: the source
    source: str | None = None  # of general rows without one; null: the repository or the folder
    license: str | None = None
    lang: str | None = None
    licenses: dict[str, str] = Field(default_factory=dict)  # per source, for rows without one

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        if self.separator is not None and self.separator not in SEPARATORS:
            raise make_error("separator", self.separator, "one of " + ", ".join(map(repr, SEPARATORS)))
        if self.format is Format.hub and self.repository is None:
            expected = "a repository on the Hugging Face Hub such as databricks/databricks-dolly-15k"
            raise make_error("repository", None, expected)
        if self.repository is not None and not COMMIT.fullmatch(self.revision or ""):
            raise make_error("revision", self.revision, "the commit of the repository, 40 hexadecimal digits")
        if self.path_separator is not None and len(self.columns.levels) != 1:
            fix = "list one column, or remove path_separator"
            raise make_error("columns.levels", self.columns.levels, "one column", fix)
        if self.row_is is RowIs.segment and self.columns.id is None and self.columns.text is None:
            raise make_error("columns.id", None, "the column with the id of the comment that a segment belongs to")
        columns = self.columns.of_comments
        columns.pop("content", None)  # a comment with one segment may be its own content
        repeated = [name for name, count in Counter(columns.values()).items() if count > 1]
        if repeated:
            fields = [field for field, column in columns.items() if column == repeated[0]]
            raise make_error("columns", repeated[0], f"a different column for each of {', '.join(fields)}")
        return self

    @property
    def row_layout(self) -> Layout:
        """The layout of one row."""
        if self.layout is not None:
            return self.layout
        if self.format in (Format.alpaca, Format.sharegpt, Format.openai):
            return Layout(self.format.value)
        return Layout.columns if self.columns.text is not None else Layout.canonical


def read_source(folder: Path, kind: Kind) -> Source:
    """Return the source of a kind of data in a folder. Raises `InputError` if it is missing or invalid."""
    if not folder.is_dir():
        known = sorted(path.name for path in folder.parent.glob("*/") if (path / SOURCE).is_file())
        problem = "expected a folder, got a file" if folder.exists() else "no such folder"
        choices = f" to one of: {', '.join(known)}" if known else f" to a folder with a {SOURCE}"
        raise InputError(f"{folder}: {problem}; set data.{kind} in params.yaml{choices}")
    path = folder / SOURCE
    if not path.is_file():
        if os.path.lexists(path):
            raise InputError(f"{path}: expected a file, got a folder, a pipe or a broken link; replace it with a file")
        return Source(format=Format.jsonl)
    values = read_yaml(path)
    if not isinstance(values, dict) or not values:
        raise InputError(f"{path}: expected `key: value` lines such as `format: csv`")
    if "format" not in values and values.keys() <= set(Kind):
        if kind not in values:
            raise InputError(
                f"{path}: expected {kind}, got {', '.join(values)}; add `{kind}:`, or set data.{kind} to another folder"
            )
        return _parse_source(f"{path}: {kind}", values[kind])
    return _parse_source(str(path), values)


def _parse_source(location: str, values: object) -> Source:
    """Return the source in `values`; of many errors, only the first ones are shown."""
    try:
        return Source.parse(location, values)
    except InputError as error:
        raise join_errors(str(error).splitlines()) from None
