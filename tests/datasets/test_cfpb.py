"""CFPB complaints become canonical comments and a taxonomy, from each published format."""

import csv
import gzip
import io
import json
import re
import shutil
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from alloy.core.files import InputError, read_json, read_jsonl, write_folder
from alloy.datasets.cfpb import convert_cfpb, format_taxonomy_csv, merge_copies, yield_comments
from alloy.datasets.cfpb_export import read_raw
from alloy.formats.taxonomy import load_taxonomy
from data_folders import prepare_folder
from stages import split

SHARED = Path(__file__).parents[3] / "shared/data/cfpb_voc"
HEADER = [
    "Date received",
    "Product",
    "Sub-product",
    "Issue",
    "Sub-issue",
    "Consumer complaint narrative",
    "Complaint ID",
]
CARD = ("Credit card", "(none)", "Fees", "Late fee")
LOAN = ("Mortgage", "FHA mortgage", "Closing", "(none)")


def make_line(path: tuple[str, ...], text: str, number: str) -> list[str]:
    labels = ["" if label == "(none)" else label for label in path]
    return ["2023-01-01", *labels, text, number]


def make_table(*rows: list[str], header: list[str] = HEADER) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows([header, *rows])
    return file.getvalue().encode()


def write_table(raw: Path, *complaints: tuple[tuple[str, ...], str, str]) -> None:
    """Write a table with complaints, each a path, a text and an id."""
    (raw / "a.csv").write_bytes(make_table(*(make_line(*complaint) for complaint in complaints)))


def make_record(path: tuple[str, ...], text: str, identity: str, **fields: str) -> dict[str, Any]:
    return {"id": identity, "text": text, "labels": [make_labels(path)], **fields}


def make_labels(path: tuple[str, ...]) -> dict[str, str]:
    return {f"L{depth}": label for depth, label in enumerate(path, 1)}


def make_jsonl(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def make_zip(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def run_conversion() -> None:
    """Convert as the stage `prepare` does."""
    printed: list[str] = []
    write_folder("data/prepared/comments", lambda folder: printed.extend(convert_cfpb(Path("data/cfpb/raw"), folder)))
    print("".join(f"convert: {line}\n" for line in printed), end="")


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = Path("data/cfpb/raw")
    folder.mkdir(parents=True)
    return folder


def read_converted() -> tuple[list[dict[str, Any]], list[tuple[str, ...]]]:
    run_conversion()
    return read_jsonl("data/prepared/comments/comments.jsonl"), list(
        load_taxonomy("data/prepared/comments/taxonomy.csv").leaves
    )


def read_error() -> str:
    with pytest.raises(InputError) as caught:
        run_conversion()
    assert list(Path("data/prepared").iterdir()) == [], "a failed command writes no output"
    assert "\n" not in str(caught.value)
    return str(caught.value)


EXPORT = make_table(make_line(CARD, "They charged me twice, \nreally.", "11"), make_line(LOAN, "", "12"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("complaints.csv", EXPORT),
        ("complaints.CSV", b"\xef\xbb\xbf" + EXPORT),
        ("complaints.csv.gz", gzip.compress(EXPORT)),
        ("complaints.csv.zip", make_zip("complaints.csv", EXPORT)),
        ("complaints.zip", make_zip("export/complaints.csv", b"\xef\xbb\xbf" + EXPORT)),
        ("deeper/complaints.csv", EXPORT),
    ],
)
def test_an_export_becomes_comments_and_the_taxonomy_of_all_its_rows(raw: Path, name: str, content: bytes) -> None:
    (raw / name).parent.mkdir(exist_ok=True)
    (raw / name).write_bytes(content)
    rows, paths = read_converted()
    text = "They charged me twice, \nreally."
    assert rows == [{"id": "cfpb-11", "lang": "en", "text": text, "segments": [make_labels(CARD)]}]
    assert paths == [CARD, LOAN]


@pytest.mark.parametrize(("name", "pack"), [("a.jsonl", bytes), ("a.jsonl.gz", gzip.compress)])
def test_json_lines_keep_their_split_and_add_paths_without_complaints(raw: Path, name: str, pack: Any) -> None:
    (raw / name).write_bytes(pack(make_jsonl(make_record(CARD, "Too dear", "cfpb-1", split="test", era="2023+"))))
    (raw / "taxonomy.jsonl").write_bytes(make_jsonl({**make_labels(LOAN), "n_text": 0}))
    rows, paths = read_converted()
    assert rows == [
        {"id": "cfpb-1", "lang": "en", "text": "Too dear", "split": "test", "segments": [make_labels(CARD)]}
    ]
    assert paths == [CARD, LOAN]


def test_copies_of_a_text_become_one_comment_with_all_their_paths_in_order(raw: Path) -> None:
    write_table(raw, (LOAN, "Help  me", "1"), (CARD, "Other", "2"), (CARD, "help ME ", "3"), (LOAN, "Help me", "4"))
    merged, _ = read_converted()
    assert [(row["id"], row["text"]) for row in merged] == [("cfpb-1", "Help  me"), ("cfpb-2", "Other")]
    assert merged[0]["segments"] == [make_labels(LOAN), make_labels(CARD)]


def test_several_files_are_read_in_the_order_of_their_names_and_an_id_is_kept_once(raw: Path) -> None:
    (raw / "b.csv").write_bytes(make_table(make_line(CARD, "Second", "2"), make_line(LOAN, "First again", "1")))
    (raw / "a.jsonl").write_bytes(make_jsonl(make_record(CARD, "First", "cfpb-1")))
    rows, paths = read_converted()
    assert [row["text"] for row in rows] == ["First", "Second"]
    assert paths == [CARD, LOAN]


def test_left_out_rows_are_counted(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_table(raw, (CARD, "One", "1"), (CARD, "one", "2"), (CARD, "Again", "1"), (CARD, " ", "3"))
    run_conversion()
    (line,) = capsys.readouterr().out.splitlines()
    assert re.findall(r"\d+ \w+", line) == ["1 comments", "1 paths", "1 copies", "1 repeated", "1 without"]


def test_without_complaint_ids_the_id_comes_from_the_text(raw: Path) -> None:
    first, second = make_line(CARD, "One", ""), make_line(CARD, "Two", "")
    (raw / "a.csv").write_bytes(make_table(first[:-1], second[:-1], header=HEADER[:-1]))
    names = {row["text"]: row["id"] for row in read_converted()[0]}
    (raw / "a.csv").write_bytes(make_table(second, first))
    assert {row["text"]: row["id"] for row in read_converted()[0]} == names
    assert len(set(names.values())) == 2


def test_other_files_are_ignored(raw: Path) -> None:
    (raw / "a.csv").write_bytes(EXPORT)
    (raw / "SOURCE.md").write_text("# where it is from")
    (raw / "._a.csv").write_bytes(b"\xff")
    assert len(read_converted()[0]) == 1


def test_the_error_of_an_empty_folder_has_the_address_of_the_export(raw: Path) -> None:
    (raw / ".gitkeep").touch()
    message = read_error()
    assert message.startswith("data/cfpb/raw: ")
    assert "https://files.consumerfinance.gov/ccdb/complaints.csv.zip" in message


def test_an_export_without_text_is_an_error(raw: Path) -> None:
    write_table(raw, (CARD, "", "1"))
    assert re.match("data/cfpb/raw: .*text", read_error())


INVALID_TABLES = {
    "a missing column": (make_table(["x"], header=["Product"]), ":1: .*'Sub-product'"),
    "an empty file": (b"", ":1: .*'Product'"),
    "a truncated row": (make_table(["2023-01-01", "Mortgage"]), r":2: .*\b7\b.*\b2\b"),
    "a byte that is not UTF-8": (EXPORT.replace(b"twice", b"tw\xffce"), ":2: byte 58 .*UTF-8"),
    "an unclosed quote": (EXPORT + b'2023-01-01,"Mortgage', ":5: .*CSV"),
}


@pytest.mark.parametrize(("content", "expected"), INVALID_TABLES.values(), ids=INVALID_TABLES)
@pytest.mark.parametrize("form", ["csv", "csv.gz", "zip"])
def test_an_error_in_a_table_names_file_and_line(raw: Path, form: str, content: bytes, expected: str) -> None:
    pack = {"csv": bytes, "csv.gz": gzip.compress, "zip": lambda content: make_zip("inner.csv", content)}[form]
    (raw / f"a.{form}").write_bytes(pack(content))
    location = f"data/cfpb/raw/a.{form}" + ("/inner.csv" if form == "zip" else "")
    assert re.match(re.escape(location) + expected, read_error())


INVALID_RECORDS = {
    "not JSON": (b'{"id": \n', "JSON"),
    "an array": (b"[1]\n", "an array"),
    "not UTF-8": (b'{"id": "\xff"}\n', "byte 9 "),
    "a missing text": (make_jsonl({"id": "1", "labels": [make_labels(CARD)]}), "`text`"),
    "empty labels": (make_jsonl({"id": "1", "text": "x", "labels": []}), "`labels`"),
    "a missing level": (make_jsonl({"id": "1", "text": "x", "labels": [{"L1": "a"}]}), "L1 to L4"),
    "neither complaint nor path": (make_jsonl({"id": "1"}), "L1 to L4"),
    "an unknown split": (make_jsonl(make_record(CARD, "x", "1", split="val")), "'val'"),
}


@pytest.mark.parametrize(("content", "expected"), INVALID_RECORDS.values(), ids=INVALID_RECORDS)
@pytest.mark.parametrize(("form", "pack"), [("jsonl", bytes), ("jsonl.gz", gzip.compress)])
def test_an_error_in_json_lines_names_file_and_line(
    raw: Path, form: str, pack: Any, content: bytes, expected: str
) -> None:
    (raw / f"a.{form}").write_bytes(pack(make_jsonl(make_record(CARD, "Good", "2")) + b"\n" + content))
    message = read_error()
    assert message.startswith(f"data/cfpb/raw/a.{form}:3: ")
    assert expected in message


@pytest.mark.parametrize("name", ["a.csv.gz", "a.jsonl.gz"])
@pytest.mark.parametrize(
    "damage", [lambda content: content[:-20], lambda content: b"no" + content, lambda content: content + b"x"]
)
def test_a_broken_gzip_file_is_an_error_of_one_line(raw: Path, name: str, damage: Any) -> None:
    content = EXPORT if "csv" in name else make_jsonl(make_record(CARD, "Good", "1"))
    (raw / name).write_bytes(damage(gzip.compress(content)))
    assert re.match(rf"data/cfpb/raw/{re.escape(name)}: .*gzip", read_error())


def test_an_incomplete_zip_file_is_an_error_of_one_line(raw: Path) -> None:
    (raw / "a.zip").write_bytes(make_zip("a.csv", EXPORT)[:-30])
    assert read_error().startswith("data/cfpb/raw/a.zip: ")


def test_a_zip_file_with_a_changed_byte_is_an_error_of_one_line(raw: Path) -> None:
    content = bytearray(make_zip("a.csv", EXPORT))
    content[60] ^= 0xFF
    (raw / "a.zip").write_bytes(content)
    assert read_error().startswith("data/cfpb/raw/a.zip: ")


def test_a_zip_file_without_a_table_is_an_error_of_one_line(raw: Path) -> None:
    (raw / "a.zip").write_bytes(make_zip("a.txt", EXPORT))
    assert re.match(r"data/cfpb/raw/a\.zip: .*\.csv", read_error())


def test_all_comments_and_paths_of_the_real_sample_are_converted() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: the real CFPB sample cannot be read")
    with io.BytesIO() as spool:
        merged = merge_copies(read_raw(SHARED), spool)
        rows = list(yield_comments(spool, merged))
    assert len(rows) == 15_408
    assert Counter(row["split"] for row in rows) == {"train": 14_547, "test": 861}
    assert sum(len(row["segments"]) for row in rows) == 15_428
    assert len(merged.leaves) == 1_280
    assert format_taxonomy_csv(merged.leaves).count("\n") == 1_281


def test_the_stage_split_keeps_the_split_of_the_real_sample_except_near_duplicates(raw: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: the real CFPB sample cannot be read")
    shutil.copytree(SHARED, raw, dirs_exist_ok=True)
    run_conversion()
    Path("params.yaml").touch()
    split.main()
    counted = read_json("metrics/split.json")["split"]
    assert [counted[key] for key in ("train", "test", "rejected", "copies")] == [14_547 - 49, 861, 0, 0]
    left_out = read_json("data/split/near_duplicates.json")
    assert len(left_out) == counted["left_out"] == 49
    splits = {row["id"]: row["split"] for row in read_jsonl("data/prepared/comments/comments.jsonl")}
    assert {(splits[row["id"]], splits[row["like"]]) for row in left_out} == {("train", "test")}


def test_null_levels_are_ignored_and_labels_are_normalized(raw: Path) -> None:
    labels = {"L1": "Cre\u00addit  card", "L2": None, "L3": " Fees\u00a0", "L4": "Late fee"}
    (raw / "a.jsonl").write_bytes(make_jsonl({**make_record(CARD, "Words.", "a"), "labels": [labels], "split": None}))
    comments, leaves = read_converted()
    assert leaves == [CARD]
    assert comments[0]["segments"] == [make_labels(CARD)]


def test_copies_are_found_in_any_unicode_encoding(raw: Path) -> None:
    texts = ("They don't pay.", "They don&#39;t\u00a0pay.", "they DON\u2060'T pay.")
    (raw / "a.jsonl").write_bytes(make_jsonl(*(make_record(CARD, text, f"{n}") for n, text in enumerate(texts))))
    assert [row["text"] for row in read_converted()[0]] == ["They don't pay."]


def test_keep_levels_keeps_only_the_first_levels(raw: Path) -> None:
    fee = (*CARD[:3], "Balance fee")
    rows = [make_record(CARD, "Both.", "a", split="test"), make_record(LOAN, "One.", "b")]
    rows[0]["labels"].append(make_labels(fee))
    (raw / "a.jsonl").write_bytes(make_jsonl(*rows))
    (raw.parent / "source.yaml").write_text("format: cfpb\nkeep_levels: 2\n")
    prepared = prepare_folder(raw.parent)
    first, second = prepared.rows
    assert (first["id"], first["split"], first["segments"]) == ("a", "test", [make_labels(CARD[:2])])
    assert second["segments"] == [make_labels(LOAN[:2])]
    assert prepared.leaves == [CARD[:2], LOAN[:2]]
    (raw.parent / "source.yaml").write_text("format: cfpb\nkeep_levels: 5\n")
    with pytest.raises(InputError, match=r"^data/cfpb/source\.yaml: keep_levels: .*\b4\b"):
        prepare_folder(raw.parent)
