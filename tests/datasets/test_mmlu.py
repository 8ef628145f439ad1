"""MMLU becomes a canonical benchmark from any layout."""

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
EXPECTED_SPLITS = {"test": [TEST[0], TEST[2], TEST[1]], "dev": [DEV[1], DEV[0]]}


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


def group_by_subject(rows: list[Row]) -> dict[str, list[Row]]:
    return {name: [row for row in rows if row["subject"] == name] for name in {row["subject"] for row in rows}}


def write_parquet(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_one_parquet_file(raw: Path, split: str, rows: list[Row]) -> None:
    write_parquet(raw / f"all/{split}-00000-of-00001.parquet", rows)


def write_parquet_shards(raw: Path, split: str, rows: list[Row]) -> None:
    write_parquet(raw / f"all/{split}-00000-of-00002.parquet", rows[:1])
    write_parquet(raw / f"all/{split}-00001-of-00002.parquet", rows[1:])


def write_parquet_by_subject(raw: Path, split: str, rows: list[Row]) -> None:
    for name, part in group_by_subject(rows).items():
        write_parquet(raw / name / f"{split}-00000-of-00001.parquet", part)


def write_hub_files(raw: Path, split: str, rows: list[Row]) -> None:
    write_one_parquet_file(raw, split, rows)
    write_parquet_by_subject(raw, split, rows)


def write_tables(raw: Path, split: str, rows: list[Row]) -> None:
    (raw / split).mkdir(parents=True, exist_ok=True)
    for name, part in group_by_subject(rows).items():
        with (raw / split / f"{name}_{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([row["question"], *row["choices"], "ABCD"[row["answer"]]] for row in part)


def write_jsonl_file(raw: Path, split: str, rows: list[Row]) -> None:
    text = "".join(json.dumps({"id": f"{split}-{n}", **row}) + "\n" for n, row in enumerate(rows))
    (raw / f"mmlu_{split}.jsonl").write_text(text)


def write_gzip_jsonl_file(raw: Path, split: str, rows: list[Row]) -> None:
    write_jsonl_file(raw, split, rows)
    plain = raw / f"mmlu_{split}.jsonl"
    (raw / f"mmlu_{split}.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()


Writer = Callable[[Path, str, list[Row]], None]
LAYOUTS: list[Writer] = [
    write_one_parquet_file,
    write_parquet_shards,
    write_parquet_by_subject,
    write_hub_files,
    write_tables,
    write_jsonl_file,
    write_gzip_jsonl_file,
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
    assert read_converted() == EXPECTED_SPLITS


@pytest.mark.parametrize("write", LAYOUTS)
def test_validation_and_other_files_are_ignored(raw: Path, write: Writer) -> None:
    for split, rows in {"test": TEST, "dev": DEV, "val": TEST, "validation": TEST, "auxiliary_train": TEST}.items():
        write(raw, split, rows)
    (raw / "SOURCE.md").write_text("# where it is from")
    (raw / "counts_per_subject.json").write_text("{}")
    assert read_converted() == EXPECTED_SPLITS


@pytest.mark.parametrize("write", LAYOUTS)
@pytest.mark.parametrize("present", ["test", "dev"])
def test_a_missing_split_is_named_in_the_error(raw: Path, write: Writer, present: str) -> None:
    write(raw, present, TEST)
    absent = "dev" if present == "test" else "test"
    assert re.match(rf"data/mmlu/raw: .*\b{absent} files", read_error())


def test_subjects_that_look_the_same_are_one_subject(raw: Path) -> None:
    write_jsonl_file(raw, "test", TEST)
    write_jsonl_file(raw, "dev", [{**row, "subject": f" {row['subject']}\u200b"} for row in DEV])
    assert read_converted() == EXPECTED_SPLITS


def test_a_subject_without_dev_questions_is_named_in_the_error(raw: Path) -> None:
    write_jsonl_file(raw, "test", TEST)
    write_jsonl_file(raw, "dev", DEV[:1])
    assert re.match("data/mmlu/raw: .*'astronomy'", read_error())


def test_two_layouts_at_once_are_refused(raw: Path) -> None:
    for write in (write_one_parquet_file, write_tables):
        write(raw, "test", TEST)
        write(raw, "dev", DEV)
    assert re.match("data/mmlu/raw: .*parquet and CSV", read_error())


@pytest.mark.parametrize("name", [".gitkeep", "data.tar", "questions.jsonl"])
def test_an_unknown_layout_says_what_to_fetch(raw: Path, name: str) -> None:
    (raw / name).touch()
    message = read_error()
    assert message.startswith("data/mmlu/raw: ")
    assert "https://huggingface.co/datasets/cais/mmlu" in message


INVALID_QUESTIONS = {
    "an index out of range": (make_question("a", "q", 4), r"answer .*0 to 3.*\b4$"),
    "a negative index": (make_question("a", "q", -1), r"answer .*0 to 3.*-1$"),
    "three choices": (make_question("a", "q", 0, "xyz"), r"four .*\b3\b"),
    "five choices": (make_question("a", "q", 0, "vwxyz"), r"four .*\b5\b"),
    "an empty question": (make_question("a", " "), "`question` "),
    "an empty subject": (make_question("", "q"), "`subject` "),
}
VALID_QUESTION = make_question("a", "good")


@pytest.mark.parametrize(("row", "expected"), INVALID_QUESTIONS.values(), ids=INVALID_QUESTIONS)
def test_an_error_in_json_lines_names_file_and_line(raw: Path, row: Row, expected: str) -> None:
    write_jsonl_file(raw, "test", [VALID_QUESTION, row])
    write_jsonl_file(raw, "dev", [VALID_QUESTION])
    assert re.match(rf"data/mmlu/raw/mmlu_test\.jsonl:2: .*{expected}", read_error())


@pytest.mark.parametrize(("row", "expected"), INVALID_QUESTIONS.values(), ids=INVALID_QUESTIONS)
def test_an_error_in_a_parquet_file_names_file_and_row(raw: Path, row: Row, expected: str) -> None:
    write_one_parquet_file(raw, "test", [VALID_QUESTION, row])
    write_one_parquet_file(raw, "dev", [VALID_QUESTION])
    assert re.match(rf"data/mmlu/raw/all/test-00000-of-00001\.parquet: row 2: .*{expected}", read_error())


INVALID_TABLES = {
    "another letter": (b"q,w,x,y,z,E\n", "answer .*A to D.*'E'$"),
    "two letters": (b"q,w,x,y,z,AB\n", "answer .*A to D.*'AB'$"),
    "an empty answer": (b"q,w,x,y,z,\n", "answer .*A to D.*''$"),
    "three choices": (b"q,w,x,y,A\n", r"four .*\b3\b"),
    "one cell": (b"q\n", r"four .*\b0\b"),
    "not UTF-8": (b"q,w,\xff,y,z,A\n", "byte 5 .*UTF-8"),
    "an unclosed quote": (b'q,w,x,y,"z,A\nq,w,x,y,z,A', r"four .*\b3\b"),
    "carriage returns": (b"q,w,x,y,z,A\rq,w,x,y,z,A", "CSV"),
}


@pytest.mark.parametrize(("content", "expected"), INVALID_TABLES.values(), ids=INVALID_TABLES)
def test_an_error_in_a_table_names_file_and_line(raw: Path, content: bytes, expected: str) -> None:
    write_tables(raw, "dev", [VALID_QUESTION])
    (raw / "test").mkdir()
    (raw / "test/a_test.csv").write_bytes(b'"two\nlines",w,x,y,z,A\n\n' + content)
    last = 4 + content.count(b"\nq")
    assert re.match(rf"data/mmlu/raw/test/a_test\.csv:{last}: .*{expected}", read_error())


def test_a_malformed_line_is_named_in_the_error(raw: Path) -> None:
    write_jsonl_file(raw, "dev", [VALID_QUESTION])
    (raw / "mmlu_test.jsonl").write_text('{"subject": \n')
    assert read_error().startswith("data/mmlu/raw/mmlu_test.jsonl:1: ")


def test_choices_that_are_not_strings_are_an_error(raw: Path) -> None:
    write_jsonl_file(raw, "test", [make_question("a", "q", 0, [1, 2, 3, "x"])])
    write_jsonl_file(raw, "dev", [VALID_QUESTION])
    assert re.match(r"data/mmlu/raw/mmlu_test\.jsonl:1: .*four .*\b1\b", read_error())


def test_a_broken_parquet_file_is_an_error_of_one_line(raw: Path) -> None:
    write_one_parquet_file(raw, "dev", [VALID_QUESTION])
    (raw / "all/test-00000-of-00001.parquet").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert read_error().startswith("data/mmlu/raw/all/test-00000-of-00001.parquet: ")


def test_a_parquet_file_without_a_column_is_an_error_of_one_line(raw: Path) -> None:
    write_one_parquet_file(raw, "dev", [VALID_QUESTION])
    write_one_parquet_file(raw, "test", [{key: value for key, value in VALID_QUESTION.items() if key != "subject"}])
    message = read_error()
    assert message.startswith("data/mmlu/raw/all/test-00000-of-00001.parquet: ")
    assert "'subject'" in message


@pytest.mark.parametrize("write", [write_gzip_jsonl_file, write_tables, write_one_parquet_file])
def test_all_real_questions_are_converted_from_any_layout(raw: Path, write: Writer) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: the real MMLU cannot be read")
    source = {}
    for split in ("test", "dev"):
        with gzip.open(SHARED / f"mmlu_{split}.jsonl.gz", "rt", encoding="utf-8") as file:
            source[split] = [{key: row[key] for key in VALID_QUESTION} for row in map(json.loads, file)]
        write(raw, split, source[split])
    splits = read_converted()
    assert (len(splits["test"]), len(splits["dev"])) == (14_042, 285)
    assert len({row["subject"] for row in splits["test"]}) == 57
    assert splits == {split: sorted(rows, key=lambda row: row["subject"]) for split, rows in source.items()}
