"""IFEval becomes canonical prompts, from the files of Google and of the hub."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alloy.core.files import InputError, read_jsonl, write_folder
from alloy.datasets.ifeval import convert_ifeval

SHARED = Path(__file__).parents[3] / "shared/data/ifeval/ifeval_input_data.jsonl.gz"
Row = dict[str, Any]
FIRST = {
    "key": 12,
    "prompt": "Sagen Sie „ja“, ohne Komma.",
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
    "kwargs": [{}, {"num_words": 3, "relation": "less than"}],
}
SECOND = {
    "key": 5,
    "prompt": "Name\nboth.",
    "instruction_id_list": ["keywords:existence"],
    "kwargs": [{"keywords": ["lamp", "lock"]}],
}
ROWS = [FIRST, SECOND]


def run_conversion() -> None:
    """Convert as the stage `prepare` does."""
    printed: list[str] = []
    write_folder(
        "data/prepared/instructions", lambda folder: printed.extend(convert_ifeval(Path("data/ifeval/raw"), folder))
    )
    print("".join(f"convert: {line}\n" for line in printed), end="")


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = Path("data/ifeval/raw")
    folder.mkdir(parents=True)
    return folder


def write_jsonl_file(raw: Path, rows: list[Row], name: str = "input_data.jsonl") -> None:
    (raw / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_shared_jsonl_file(raw: Path, rows: list[Row]) -> None:
    write_jsonl_file(raw, rows, "ifeval_input_data.jsonl")


def write_gzip_jsonl_file(raw: Path, rows: list[Row]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (raw / "ifeval_input_data.jsonl.gz").write_bytes(gzip.compress(text.encode()))


def write_parquet(raw: Path, rows: list[Row], name: str = "train-00000-of-00001.parquet") -> None:
    """Write the rows as the hub has them: every instruction has all arguments, most of them null."""
    names = sorted({field for row in rows for arguments in row["kwargs"] for field in arguments} | {"language"})
    filled = [
        {**row, "kwargs": [{field: arguments.get(field) for field in names} for arguments in row["kwargs"]]}
        for row in rows
    ]
    (raw / "data").mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(filled), raw / "data" / name)


Writer = Callable[[Path, list[Row]], None]
LAYOUTS: list[Writer] = [write_jsonl_file, write_shared_jsonl_file, write_gzip_jsonl_file, write_parquet]


def read_converted() -> list[Row]:
    run_conversion()
    return read_jsonl("data/prepared/instructions/ifeval.jsonl")


def read_error() -> str:
    with pytest.raises(InputError) as caught:
        run_conversion()
    assert not Path("data/prepared/instructions/ifeval.jsonl").exists(), "an error leaves nothing behind"
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("write", LAYOUTS)
def test_every_layout_gives_the_same_prompts_in_their_order(raw: Path, write: Writer) -> None:
    write(raw, ROWS)
    (raw / "SOURCE.md").write_text("# where it is from")
    assert read_converted() == ROWS


def test_parquet_shards_are_read_in_order(raw: Path) -> None:
    write_parquet(raw, [FIRST], "train-00000-of-00002.parquet")
    write_parquet(raw, [SECOND], "train-00001-of-00002.parquet")
    assert read_converted() == ROWS


@pytest.mark.parametrize("write", LAYOUTS)
def test_all_541_real_prompts_are_converted(raw: Path, write: Writer, capsys: pytest.CaptureFixture[str]) -> None:
    if not SHARED.is_file():
        pytest.skip(f"{SHARED} is absent: the real IFEval cannot be read")
    with gzip.open(SHARED, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    write(raw, rows)
    assert read_converted() == rows
    assert re.findall(r"\d+", capsys.readouterr().out) == ["541", "834", "25"]


def test_an_error_in_a_line_names_file_and_line(raw: Path) -> None:
    write_jsonl_file(raw, [FIRST, {**SECOND, "kwargs": []}])
    assert read_error().startswith("data/ifeval/raw/input_data.jsonl:2: ")


def test_an_error_in_a_parquet_file_names_file_and_row(raw: Path) -> None:
    write_parquet(raw, [FIRST, {**SECOND, "prompt": " "}])
    assert read_error().startswith("data/ifeval/raw/data/train-00000-of-00001.parquet: row 2: `prompt` ")


def test_two_layouts_at_once_are_refused(raw: Path) -> None:
    write_jsonl_file(raw, ROWS)
    write_parquet(raw, ROWS)
    assert re.match(r"data/ifeval/raw: .*train-00000-of-00001\.parquet and input_data\.jsonl", read_error())


@pytest.mark.parametrize("name", [".gitkeep", "prompts.jsonl", "test-00000-of-00001.parquet"])
def test_an_unknown_layout_says_what_to_fetch(raw: Path, name: str) -> None:
    (raw / name).touch()
    assert "https://huggingface.co/datasets/google/IFEval" in read_error()


def test_a_broken_parquet_file_is_an_error_of_one_line(raw: Path) -> None:
    (raw / "train-00000-of-00001.parquet").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert read_error().startswith("data/ifeval/raw/train-00000-of-00001.parquet: ")


def test_a_parquet_file_without_a_column_is_an_error_of_one_line(raw: Path) -> None:
    write_parquet(raw, [{key: value for key, value in SECOND.items() if key != "key"}])
    message = read_error()
    assert message.startswith("data/ifeval/raw/data/train-00000-of-00001.parquet: ")
    assert "'key'" in message
