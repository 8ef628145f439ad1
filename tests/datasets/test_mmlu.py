"""MMLU becomes one canonical benchmark, whatever layout it comes in."""

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alloy.core.files import InputError, read_jsonl, write_folder
from alloy.datasets.mmlu import convert_mmlu

SHARED = Path(__file__).parents[3] / "shared/data/mmlu"
Row = dict[str, Any]


def make_question(subject: str, text: str, answer: Any = 0, choices: Iterable[Any] = ("w", "x", "y", "z")) -> Row:
    return {"subject": subject, "question": text, "choices": list(choices), "answer": answer}


TEST = [
    make_question("astronomy", "How far is the Sun?", 3),
    make_question("virology", 'What is a "virus",\nin short?', 1, ["a, b", "None", "NA", "c"]),
    make_question("astronomy", "And the Moon?", 2),
]
DEV = [make_question("virology", "Seen?", 1), make_question("astronomy", "Near?", 0)]
WANTED = {"test": [TEST[0], TEST[2], TEST[1]], "dev": [DEV[1], DEV[0]]}


def run_conversion() -> None:
    """Convert as the stage `prepare` does."""
    printed: list[str] = []
    write_folder("data/prepared/benchmark", lambda folder: printed.extend(convert_mmlu(Path("data/mmlu/raw"), folder)))
    print("".join(f"convert: {line}\n" for line in printed), end="")


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = Path("data/mmlu/raw")
    folder.mkdir(parents=True)
    return folder


def by_subject(rows: list[Row]) -> dict[str, list[Row]]:
    return {name: [row for row in rows if row["subject"] == name] for name in {row["subject"] for row in rows}}


def write_parquet(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def one_parquet(raw: Path, split: str, rows: list[Row]) -> None:
    write_parquet(raw / f"all/{split}-00000-of-00001.parquet", rows)


def two_parquet_shards(raw: Path, split: str, rows: list[Row]) -> None:
    write_parquet(raw / f"all/{split}-00000-of-00002.parquet", rows[:1])
    write_parquet(raw / f"all/{split}-00001-of-00002.parquet", rows[1:])


def parquet_by_subject(raw: Path, split: str, rows: list[Row]) -> None:
    for name, part in by_subject(rows).items():
        write_parquet(raw / name / f"{split}-00000-of-00001.parquet", part)


def whole_hub(raw: Path, split: str, rows: list[Row]) -> None:
    one_parquet(raw, split, rows)
    parquet_by_subject(raw, split, rows)


def write_tables(raw: Path, split: str, rows: list[Row]) -> None:
    (raw / split).mkdir(parents=True, exist_ok=True)
    for name, part in by_subject(rows).items():
        with (raw / split / f"{name}_{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([row["question"], *row["choices"], "ABCD"[row["answer"]]] for row in part)


def write_lines(raw: Path, split: str, rows: list[Row]) -> None:
    text = "".join(json.dumps({"id": f"{split}-{n}", **row}) + "\n" for n, row in enumerate(rows))
    (raw / f"mmlu_{split}.jsonl").write_text(text)


def packed_lines(raw: Path, split: str, rows: list[Row]) -> None:
    write_lines(raw, split, rows)
    plain = raw / f"mmlu_{split}.jsonl"
    (raw / f"mmlu_{split}.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()


Writer = Callable[[Path, str, list[Row]], None]
LAYOUTS: list[Writer] = [
    one_parquet,
    two_parquet_shards,
    parquet_by_subject,
    whole_hub,
    write_tables,
    write_lines,
    packed_lines,
]


def read_converted() -> dict[str, list[Row]]:
    run_conversion()
    return {split: read_jsonl(f"data/prepared/benchmark/{split}.jsonl") for split in ("test", "dev")}


def read_error() -> str:
    with pytest.raises(InputError) as caught:
        run_conversion()
    assert not Path("data/prepared/benchmark").exists(), "an error leaves nothing behind"
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("write", LAYOUTS)
def test_every_layout_gives_the_same_benchmark_sorted_by_subject(raw: Path, write: Writer) -> None:
    write(raw, "test", TEST)
    write(raw, "dev", DEV)
    assert read_converted() == WANTED


@pytest.mark.parametrize("write", LAYOUTS)
def test_validation_and_other_files_are_ignored(raw: Path, write: Writer) -> None:
    for split, rows in {"test": TEST, "dev": DEV, "val": TEST, "validation": TEST, "auxiliary_train": TEST}.items():
        write(raw, split, rows)
    (raw / "SOURCE.md").write_text("# where it is from")
    (raw / "counts_per_subject.json").write_text("{}")
    assert read_converted() == WANTED


@pytest.mark.parametrize("write", LAYOUTS)
@pytest.mark.parametrize("present", ["test", "dev"])
def test_a_missing_split_is_named_in_the_error(raw: Path, write: Writer, present: str) -> None:
    write(raw, present, TEST)
    absent = "dev" if present == "test" else "test"
    assert read_error().startswith(f"data/mmlu/raw: no {absent} files among the ")


def test_a_subject_without_dev_questions_is_named_in_the_error(raw: Path) -> None:
    write_lines(raw, "test", TEST)
    write_lines(raw, "dev", DEV[:1])
    assert read_error().startswith("data/mmlu/raw: subject 'astronomy' ")


def test_two_layouts_at_once_are_refused(raw: Path) -> None:
    for write in (one_parquet, write_tables):
        write(raw, "test", TEST)
        write(raw, "dev", DEV)
    assert re.match("data/mmlu/raw: .*parquet and CSV", read_error())


@pytest.mark.parametrize("name", [".gitkeep", "data.tar", "questions.jsonl"])
def test_an_unknown_layout_says_what_to_fetch(raw: Path, name: str) -> None:
    (raw / name).touch()
    message = read_error()
    assert message.startswith("data/mmlu/raw: ")
    assert "https://huggingface.co/datasets/cais/mmlu" in message


BAD = {
    "an index out of range": (make_question("a", "q", 4), r"answer .*0 to 3.*\b4$"),
    "a negative index": (make_question("a", "q", -1), r"answer .*0 to 3.*-1$"),
    "three choices": (make_question("a", "q", 0, "xyz"), r"four .*\b3\b"),
    "five choices": (make_question("a", "q", 0, "vwxyz"), r"four .*\b5\b"),
    "an empty question": (make_question("a", " "), "`question` "),
    "no subject": (make_question("", "q"), "`subject` "),
}
GOOD = make_question("a", "good")


@pytest.mark.parametrize(("row", "expected"), BAD.values(), ids=BAD)
def test_an_error_in_json_lines_names_file_and_line(raw: Path, row: Row, expected: str) -> None:
    write_lines(raw, "test", [GOOD, row])
    write_lines(raw, "dev", [GOOD])
    assert re.match(rf"data/mmlu/raw/mmlu_test\.jsonl:2: .*{expected}", read_error())


@pytest.mark.parametrize(("row", "expected"), BAD.values(), ids=BAD)
def test_an_error_in_a_parquet_file_names_file_and_row(raw: Path, row: Row, expected: str) -> None:
    one_parquet(raw, "test", [GOOD, row])
    one_parquet(raw, "dev", [GOOD])
    assert re.match(rf"data/mmlu/raw/all/test-00000-of-00001\.parquet: row 2: .*{expected}", read_error())


BAD_TABLES = {
    "another letter": (b"q,w,x,y,z,E\n", "answer .*A to D.*'E'$"),
    "two letters": (b"q,w,x,y,z,AB\n", "answer .*A to D.*'AB'$"),
    "no letter": (b"q,w,x,y,z,\n", "answer .*A to D.*''$"),
    "three choices": (b"q,w,x,y,A\n", r"four .*\b3\b"),
    "one cell": (b"q\n", r"four .*\b0\b"),
    "not UTF-8": (b"q,w,\xff,y,z,A\n", "byte 5 is not UTF-8"),
    "a quote that never closes": (b'q,w,x,y,"z,A\nq,w,x,y,z,A', r"four .*\b3\b"),
    "old line ends": (b"q,w,x,y,z,A\rq,w,x,y,z,A", "not valid CSV"),
}


@pytest.mark.parametrize(("content", "expected"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_an_error_in_a_table_names_file_and_line(raw: Path, content: bytes, expected: str) -> None:
    write_tables(raw, "dev", [GOOD])
    (raw / "test").mkdir()
    (raw / "test/a_test.csv").write_bytes(b'"two\nlines",w,x,y,z,A\n\n' + content)
    last = 4 + content.count(b"\nq")
    assert re.match(rf"data/mmlu/raw/test/a_test\.csv:{last}: .*{expected}", read_error())


def test_a_malformed_line_is_named_in_the_error(raw: Path) -> None:
    write_lines(raw, "dev", [GOOD])
    (raw / "mmlu_test.jsonl").write_text('{"subject": \n')
    assert read_error().startswith("data/mmlu/raw/mmlu_test.jsonl:1: not valid JSON")


def test_choices_that_are_not_texts_are_refused(raw: Path) -> None:
    write_lines(raw, "test", [make_question("a", "q", 0, [1, 2, 3, "x"])])
    write_lines(raw, "dev", [GOOD])
    assert re.match(r"data/mmlu/raw/mmlu_test\.jsonl:1: .*four .*\b1\b", read_error())


def test_a_broken_parquet_file_is_an_error_of_one_line(raw: Path) -> None:
    one_parquet(raw, "dev", [GOOD])
    (raw / "all/test-00000-of-00001.parquet").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert read_error().startswith("data/mmlu/raw/all/test-00000-of-00001.parquet: ")


def test_a_parquet_file_without_a_column_is_an_error_of_one_line(raw: Path) -> None:
    one_parquet(raw, "dev", [GOOD])
    one_parquet(raw, "test", [{key: value for key, value in GOOD.items() if key != "subject"}])
    assert read_error().startswith("data/mmlu/raw/all/test-00000-of-00001.parquet: no column 'subject'")


@pytest.mark.parametrize("write", [packed_lines, write_tables, one_parquet])
def test_the_real_questions_are_all_there_in_any_layout(raw: Path, write: Writer) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: the real MMLU cannot be read")
    source = {}
    for split in ("test", "dev"):
        with gzip.open(SHARED / f"mmlu_{split}.jsonl.gz", "rt", encoding="utf-8") as file:
            source[split] = [{key: row[key] for key in GOOD} for row in map(json.loads, file)]
        write(raw, split, source[split])
    splits = read_converted()
    assert (len(splits["test"]), len(splits["dev"])) == (14_042, 285)
    assert len({row["subject"] for row in splits["test"]}) == 57
    assert splits == {split: sorted(rows, key=lambda row: row["subject"]) for split, rows in source.items()}
