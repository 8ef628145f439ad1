"""General examples from many files become one checked file."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alloy.core.files import InputError, read_jsonl, write_folder
from alloy.core.settings import BadRow
from alloy.datasets.general import convert_general
from alloy.datasets.prepare import prepare_data
from alloy.datasets.source import Kind, Layout, read_source
from alloy.formats.general import MARKUP_KEYS, REJECTED, read_general
from alloy.formats.origin import read_origin
from alloy.modeling.answer_markup import FIELDS

SHARED = Path(__file__).parents[3] / "shared/data/general"
Row = dict[str, Any]


def make_example(identity: str, answer: str = "4", **fields: Any) -> Row:
    turns = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": answer}]
    return {"id": identity, "category": "math", "source": "sums", "lang": "en", "messages": turns, **fields}


def make_jsonl(*rows: Row) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def run_conversion(folder: Path = Path("data/general")) -> list[str]:
    """Convert as the stage `prepare` does, and return what it prints."""
    printed: list[str] = []
    source = read_source(folder, Kind.general)
    write_folder("data/prepared/general", lambda out: printed.extend(convert_general(folder, source, out)))
    return printed


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = Path("data/general/raw")
    folder.mkdir(parents=True)
    return folder


def read_converted() -> list[Row]:
    run_conversion()
    return read_jsonl("data/prepared/general/general.jsonl")


def read_error() -> str:
    with pytest.raises(InputError) as caught:
        run_conversion()
    assert list(Path("data/prepared").iterdir()) == [], "a failed command writes no output"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_plain_and_compressed_files_are_joined_in_the_order_of_their_names(raw: Path) -> None:
    (raw / "b.jsonl").write_bytes(make_jsonl(make_example("3")))
    (raw / "a.jsonl.gz").write_bytes(gzip.compress(make_jsonl(make_example("2"), make_example("1"))))
    (raw / "SOURCE.md").write_text("# where it is from")
    assert read_converted() == [make_example("2"), make_example("1"), make_example("3")]


def test_unknown_keys_are_dropped_and_a_missing_language_stays_missing(raw: Path) -> None:
    row = make_example("1", weight=2)
    row["messages"][0]["weight"] = 1
    del row["lang"]
    (raw / "a.jsonl").write_bytes(make_jsonl(row))
    expected = make_example("1")
    del expected["lang"]
    assert read_converted() == [expected]


def test_converted_rows_can_be_read_by_stages(raw: Path) -> None:
    (raw / "a.jsonl").write_bytes(make_jsonl(make_example("1"), make_example("2")))
    rows = read_converted()
    assert read_general(Path("data/prepared/general/general.jsonl")) == rows


def test_an_id_in_two_files_is_refused(raw: Path) -> None:
    (raw / "a.jsonl").write_bytes(make_jsonl(make_example("1")))
    (raw / "b.jsonl").write_bytes(make_jsonl(make_example("2"), make_example("1")))
    assert re.match(r"data/general/raw/b\.jsonl:2: .*'1'.*data/general/raw/a\.jsonl:1\b", read_error())


CHAT = "`messages`: .*role, content.*assistant"
INVALID_ROWS = {
    "a null id": (make_example("x", id=None), "`id` "),
    "an empty id": (make_example(" "), "`id` "),
    "an empty category": (make_example("x", category=""), "`source`"),
    "an empty source": (make_example("x", source=" "), "`source`"),
    "a null category": (make_example("x", category=None), "`source`"),
    "a number as source": (make_example("x", source=3), "`source`"),
    "the category of customer comments": (
        make_example("x", category="customer"),
        "`category`: 'customer'",
    ),
    "the source of customer comments": (make_example("x", source="customer"), "`source`: 'customer'"),
    "an empty license": (make_example("x", license=" "), "`license`: .*' '"),
    "two licenses": (
        make_example("x", license=["MIT", "BSD"]),
        r"`license`: .*\['MIT', 'BSD'\]",
    ),
    "a string as messages": (make_example("x", messages="hello"), CHAT),
    "a message without content": (make_example("x", messages=[{"role": "user"}, {"role": "assistant"}]), CHAT),
    "a question at the end": (make_example("x", messages=make_example("x")["messages"][::-1]), CHAT),
    "an answer without a question": (make_example("x", messages=make_example("x")["messages"][1:]), CHAT),
    "an unknown role": (
        make_example("x", messages=[{"role": "human", "content": "2 + 2?"}, make_example("x")["messages"][1]]),
        "`role` .*system, user, assistant.*'human'",
    ),
    "an empty question": (
        make_example("x", messages=[{"role": "user", "content": " "}, make_example("x")["messages"][1]]),
        "user's `content` .*empty",
    ),
    "an empty answer": (make_example("x", answer=" \n"), "assistant.*empty"),
}


@pytest.mark.parametrize(("row", "expected"), INVALID_ROWS.values(), ids=INVALID_ROWS)
@pytest.mark.parametrize(("name", "pack"), [("a.jsonl", bytes), ("a.jsonl.gz", gzip.compress)])
def test_an_error_names_file_and_line(raw: Path, name: str, pack: Any, row: Row, expected: str) -> None:
    (raw / name).write_bytes(pack(make_jsonl(make_example("1")) + b"\n" + make_jsonl(row)))
    assert re.match(rf"data/general/raw/{re.escape(name)}:3: .*{expected}", read_error())


def test_a_malformed_line_is_named_in_the_error(raw: Path) -> None:
    (raw / "a.jsonl").write_bytes(make_jsonl(make_example("1")) + b'{"id": \n')
    assert read_error().startswith("data/general/raw/a.jsonl:2: ")


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: b"no" + content])
def test_a_broken_gzip_file_is_an_error_of_one_line(raw: Path, damage: Any) -> None:
    (raw / "a.jsonl.gz").write_bytes(damage(gzip.compress(make_jsonl(make_example("1")))))
    assert re.match(r"data/general/raw/a\.jsonl\.gz: .*gzip", read_error())


def test_an_empty_folder_says_what_to_put_there(raw: Path) -> None:
    (raw / ".gitkeep").touch()
    assert read_error().startswith("data/general/raw: ")


def write_licenses(raw: Path, text: str) -> None:
    (raw.parent / "source.yaml").write_text(f"format: jsonl\nfile: raw\n{text}\n", encoding="utf-8")


def test_a_row_without_a_license_takes_the_license_of_its_source(raw: Path) -> None:
    (raw / "a.jsonl").write_bytes(
        make_jsonl(make_example("1", license="MIT"), make_example("2"), make_example("3", source="else"))
    )
    write_licenses(raw, "licenses: {sums: CC BY 4.0}")
    assert [row.get("license") for row in read_converted()] == ["MIT", "CC BY 4.0", None]
    write_licenses(raw, "licenses: {sums: CC BY 4.0}\nlicense: BSD")
    assert [row.get("license") for row in read_converted()] == ["MIT", "CC BY 4.0", "BSD"]


def test_without_licenses_in_source_yaml_rows_keep_theirs(raw: Path) -> None:
    (raw / "a.jsonl").write_bytes(make_jsonl(make_example("1", license="MIT"), make_example("2")))
    assert read_converted() == [make_example("1", license="MIT"), make_example("2")]


def test_a_license_for_a_source_without_rows_is_reported(raw: Path) -> None:
    (raw / "a.jsonl").write_bytes(make_jsonl(make_example("1")))
    write_licenses(raw, "licenses: {sums: MIT, sum: MIT}")
    (line,) = (line for line in run_conversion() if line.startswith("data/general/source.yaml: licenses: "))
    assert re.search(r"\bsum;.*\bsums\b", line)


@pytest.mark.parametrize("text", ["licenses: {sums: }", "licenses: {sums: 4.0}", "licenses: [sums]"])
def test_an_error_in_the_licenses_names_the_key(raw: Path, text: str) -> None:
    (raw / "a.jsonl").write_bytes(make_jsonl(make_example("1")))
    write_licenses(raw, text)
    Path("data/prepared").mkdir()
    assert read_error().startswith("data/general/source.yaml: licenses")


def test_all_real_examples_are_converted(raw: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: the real general data cannot be read")
    for file in SHARED.glob("*.gz"):
        (raw / file.name).symlink_to(file)
    readme = (Path(__file__).parents[2] / "data/general/README.md").read_text(encoding="utf-8")
    (raw.parent / "source.yaml").write_text(readme.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    printed = run_conversion()
    assert re.findall(r"\d+", printed[0]) == ["98460", "11"]
    licenses_by_source: dict[str, set[Any]] = {}
    for row in read_jsonl("data/prepared/general/general.jsonl"):
        licenses_by_source.setdefault(row["source"], set()).add(row.get("license"))
    assert [source for source, licenses in licenses_by_source.items() if None in licenses] == []
    assert licenses_by_source["mbpp_train"] == {"CC BY 4.0"}
    assert licenses_by_source["llm_adapters_qa_train"] == {"ODC-By and CC BY-SA"}


def test_null_counts_as_missing_and_dropped_keys_are_reported(raw: Path) -> None:
    (raw / "a.jsonl").write_bytes(make_jsonl(make_example("1", license=None, rating=5) | {"lang": None}))
    printed = run_conversion()
    (row,) = read_jsonl("data/prepared/general/general.jsonl")
    assert sorted(row) == ["category", "id", "messages", "source"]
    assert any(re.match(r"data/general: .*`rating`.*\b1 row\b", line) for line in printed)


def test_invalid_rows_can_be_left_out_and_are_listed(raw: Path) -> None:
    rows = [make_example("1"), make_example("2", answer=" "), make_example("1"), make_example("3")]
    (raw / "a.jsonl").write_bytes(make_jsonl(*rows[:2]) + b"{\n" + make_jsonl(*rows[2:]))
    out = Path("data/prepared/general")
    out.mkdir(parents=True)
    printed = convert_general(raw.parent, read_source(raw.parent, Kind.general), out, BadRow.reject)
    assert [row["id"] for row in read_jsonl(out / "general.jsonl")] == ["1", "3"]
    assert [(row["file"], row["line"]) for row in read_jsonl(out / REJECTED)] == [
        ("data/general/raw/a.jsonl", line) for line in (2, 3, 4)
    ]
    assert any(re.match(r"3 .*\bdata/general/raw/a\.jsonl:2: ", line) for line in printed)
    assert read_origin(out / "general.jsonl").locate_line(2) == ("data/general/raw/a.jsonl", 5)


CHATS = {
    Layout.canonical: lambda role: [make_example("?")["messages"][0], {"role": role, "content": "4"}],
    Layout.openai: lambda role: [{"role": "user", "content": "2 + 2?"}, {"role": role, "content": "4"}],
    Layout.sharegpt: lambda role: [{"from": "human", "value": "2 + 2?"}, {"from": role, "value": "4"}],
}


def make_layout_row(layout: Layout, identity: str, *, valid: bool) -> Row:
    """Return a row in a layout; an invalid row has an unknown role, or a history that is not in pairs."""
    if layout is Layout.alpaca:
        return {"instruction": "2 + 2?", "output": "4", "history": None if valid else [["2 + 1?"]]}
    turns = CHATS[layout]("assistant" if valid else "alien")
    if layout is Layout.canonical:
        return make_example(identity, messages=turns)
    return {"conversations" if layout is Layout.sharegpt else "messages": turns}


def write_file(path: Path, rows: list[Row]) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    else:
        path.write_bytes(gzip.compress(make_jsonl(*rows)) if path.suffix == ".gz" else make_jsonl(*rows))


CHAT_LAYOUTS = [Layout.alpaca, Layout.sharegpt, Layout.openai]  # layouts that are formats, too
FORMATS = {"jsonl": ["a.jsonl", "a.jsonl.gz", "a.json"], "parquet": ["a.parquet"]}
CASES = [
    *(
        (format_, layout, name)
        for format_ in FORMATS
        for layout in [Layout.canonical, *CHAT_LAYOUTS]
        for name in FORMATS[format_]
    ),
    *((layout.value, layout, name) for layout in CHAT_LAYOUTS for names in FORMATS.values() for name in names),
]


@pytest.mark.parametrize(("format_", "layout", "name"), CASES)
def test_an_invalid_row_of_any_format_and_layout_is_left_out_and_listed(
    raw: Path, format_: str, layout: Layout, name: str
) -> None:
    (raw.parent / "source.yaml").write_text(f"format: {format_}\nlayout: {layout.value}\nfile: raw\n")
    write_file(raw / name, [make_layout_row(layout, str(number), valid=number != 2) for number in range(1, 4)])
    out = Path("data/prepared/general")
    out.mkdir(parents=True)
    prepare_data(raw.parent, Kind.general, out, BadRow.reject)
    assert len(read_jsonl(out / "general.jsonl")) == 2
    rejected = read_jsonl(out / REJECTED)
    assert [(row["file"], row["line"]) for row in rejected] == [(f"data/general/raw/{name}", 2)]
    assert read_origin(out / "general.jsonl").locate_line(2) == (f"data/general/raw/{name}", 3)


def test_an_item_of_an_array_that_is_not_an_object_is_left_out_and_listed(raw: Path) -> None:
    (raw / "a.json").write_text(json.dumps([make_example("1"), ["2"], None, make_example("3")]))
    out = Path("data/prepared/general")
    out.mkdir(parents=True)
    prepare_data(raw.parent, Kind.general, out, BadRow.reject)
    assert [row["id"] for row in read_jsonl(out / "general.jsonl")] == ["1", "3"]
    assert [row["line"] for row in read_jsonl(out / REJECTED)] == [2, 3]


def test_if_every_row_is_invalid_the_error_names_the_first_row(raw: Path) -> None:
    (raw / "a.jsonl").write_bytes(make_jsonl(make_example("1", answer=""), make_example("2", answer="")))
    out = Path("data/prepared/general")
    out.mkdir(parents=True)
    with pytest.raises(InputError) as caught:
        prepare_data(raw.parent, Kind.general, out, BadRow.reject)
    assert str(caught.value).startswith("data/general/raw/a.jsonl:1: ")


def test_all_invalid_rows_are_reported_together(raw: Path) -> None:
    (raw / "a.jsonl").write_bytes(
        make_jsonl(make_example("1", answer=""), make_example("2"), make_example("3", source=""))
    )
    with pytest.raises(InputError) as caught:
        run_conversion()
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines[:2]] == ["data/general/raw/a.jsonl:1", "data/general/raw/a.jsonl:3"]
    assert "general_rows.on_bad_row: reject" in lines[2]


def test_reasoning_and_tool_calls_in_separate_fields_are_kept(raw: Path) -> None:
    row = make_example("1")
    row["messages"][1]["reasoning_content"] = "2 and 2"
    (raw / "a.jsonl").write_bytes(make_jsonl(row))
    assert read_converted() == [row]
    assert set(MARKUP_KEYS) == set(FIELDS)
