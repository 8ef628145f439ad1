"""Tables of comments in many layouts become canonical comments; an error is one line."""

import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from alloy.core.files import InputError, read_json
from alloy.core.stage import _make_user_message
from alloy.formats.origin import read_origin
from alloy.formats.taxonomy import load_taxonomy
from alloy.runtime.parallel import BLOCK_ROWS
from data_folders import OUT, prepare_folder, write_source

COLUMNS = {"id": "id", "text": "text", "levels": ["topic", "detail"]}
SOURCE = {"format": "csv", "columns": COLUMNS}
HEADER = "id,text,topic,detail\n"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read_error(files: dict[str, bytes | str], source: dict[str, Any] = SOURCE) -> str:
    """Return the error of a data folder; no output may be left."""
    shutil.rmtree(OUT, ignore_errors=True)
    with pytest.raises(InputError) as caught:
        prepare_folder(write_source(files, source))
    assert list(OUT.iterdir()) == []
    return str(caught.value)


def read_segments(table: str | bytes, **source: Any) -> list[list[dict[str, str]]]:
    return [row["segments"] for row in prepare_folder(write_source({"a.csv": table}, {**SOURCE, **source})).rows]


def test_a_row_per_comment_becomes_a_comment_and_its_labels_the_taxonomy() -> None:
    prepared = prepare_folder(write_source({"a.csv": HEADER + '1,"Jams, often",Lock,Jams\n2,Dear,Price,\n'}, SOURCE))
    assert prepared.rows == [
        {"id": "1", "text": "Jams, often", "segments": [{"L1": "Lock", "L2": "Jams"}]},
        {"id": "2", "text": "Dear", "segments": [{"L1": "Price", "L2": "(none)"}]},
    ]
    assert prepared.leaves == [("Lock", "Jams"), ("Price", "(none)")]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_any_separator_and_unicode_encoding_is_found(separator: str, encoding: str) -> None:
    table = (HEADER + "1,Süß 很好,Lock,Jams\n").replace(",", separator).encode(encoding)
    (row,) = prepare_folder(write_source({"a.csv": table}, SOURCE)).rows
    assert (row["id"], row["text"]) == ("1", "Süß 很好")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "A.CSV"])
def test_the_sep_line_of_excel_and_compressed_files_are_read(name: str) -> None:
    table = b"sep=;\n" + (HEADER + "1,a,b,c\n").replace(",", ";").encode()
    prepared = prepare_folder(write_source({name: gzip.compress(table) if name.endswith(".gz") else table}, SOURCE))
    assert prepared.rows[0]["id"] == "1"


def test_another_encoding_is_read_if_source_yaml_names_it() -> None:
    table = (HEADER + "1,Zürich,Größe,x\n").encode("cp1252")
    assert re.match(r"data/mine/a\.csv:2: byte 4 .*0xFC.*Windows-1252", read_error({"a.csv": table}))
    prepared = prepare_folder(write_source({"a.csv": table}, {**SOURCE, "encoding": "windows-1252"}))
    assert prepared.leaves == [("Größe", "x")]
    mixed = (HEADER + "1,Zürich,a,x\n").encode() + "2,Zürich,a,x\n".encode("cp1252")
    assert re.search(r"data/mine/a\.csv:3: byte 4 .*UTF-8.*encodings", read_error({"a.csv": mixed}))


def test_columns_may_have_any_order_and_spaces_around_labels_are_ignored() -> None:
    columns = {
        "text": "Review",
        "levels": ["Topic "],
        "emotion": "Mood",
        "lang": "lang",
        "split": "part",
        "weight": "w",
    }
    table = "part,Mood,x, Topic,Review,lang,w\nTest, joy ,1, Lock  jams ,It jams,en,2\n,,2,Lock jams,Again,,\n"
    prepared = prepare_folder(write_source({"a.csv": table}, {"format": "csv", "columns": columns}))
    assert prepared.rows == [
        {
            "id": "a-2",
            "lang": "en",
            "text": "It jams",
            "split": "test",
            "weight": 2.0,
            "segments": [{"L1": "Lock jams", "emotion": "joy"}],
        },
        {"id": "a-3", "text": "Again", "segments": [{"L1": "Lock jams"}]},
    ]


def test_several_labels_in_one_cell_are_several_segments() -> None:
    options = {"label_separator": "|", "columns": {"text": "text", "levels": ["topic", "detail"], "emotion": "id"}}
    rows = read_segments(HEADER + "joy,Hi,Lock|Price,Jams|Dear\nanger|joy,Hi,Lock|Price,Jams|Dear\n", **options)
    assert [[segment["emotion"] for segment in row] for row in rows] == [["joy", "joy"], ["anger", "joy"]]
    assert [(segment["L1"], segment["L2"]) for segment in rows[0]] == [("Lock", "Jams"), ("Price", "Dear")]
    message = read_error({"a.csv": HEADER + "x,Hi,a|b|c,d|e\n"}, {**SOURCE, **options})
    assert message.startswith("data/mine/a.csv:2: ")


def test_a_whole_path_in_one_cell_is_split_and_filled_up() -> None:
    columns = {"text": "text", "levels": ["topic"]}
    rows = read_segments(HEADER + "1,Hi,Lock > Bolt > Jams,\n2,Hi,Price,\n", columns=columns, path_separator=">")
    assert rows == [[{"L1": "Lock", "L2": "Bolt", "L3": "Jams"}], [{"L1": "Price", "L2": "(none)", "L3": "(none)"}]]


def test_segments_are_joined_by_id_even_if_not_consecutive() -> None:
    table = HEADER + "7,Jams and dear,Lock,Jams\n8,Fine,Price,Fair\n7,Jams and dear,Price,Dear\n"
    prepared = prepare_folder(write_source({"a.csv": table}, {**SOURCE, "row_is": "segment"}))
    assert [(row["id"], len(row["segments"])) for row in prepared.rows] == [("7", 2), ("8", 1)]
    location = read_origin(OUT / "comments/comments.jsonl").locate_line
    assert [location(1), location(2)] == [("data/mine/a.csv", 2), ("data/mine/a.csv", 3)]


def test_a_segment_without_id_and_text_belongs_to_the_previous_comment() -> None:
    table = HEADER + "7,Jams and dear,Lock,Jams\n,,Price,Dear\n8,Fine,Price,Fair\n"
    prepared = prepare_folder(write_source({"a.csv": table}, {**SOURCE, "row_is": "segment"}))
    assert [(row["id"], len(row["segments"])) for row in prepared.rows] == [("7", 2), ("8", 1)]


def test_rows_without_a_text_or_a_label_are_left_out_and_reported() -> None:
    prepared = prepare_folder(write_source({"a.csv": HEADER + "1,,Lock,Jams\n2,Hi,,\n3,Ho,Lock,Jams\n,,,\n"}, SOURCE))
    assert [row["id"] for row in prepared.rows] == ["3"]
    assert [line.split(" (")[1] for line in prepared.printed[-2:]] == ["data/mine/a.csv:2)", "data/mine/a.csv:3)"]


def test_json_lines_with_other_keys_are_read_with_ids_of_any_length() -> None:
    columns = {"id": "nr", "text": "body", "levels": ["tags"]}
    rows = [{"nr": 12345678901234567890123, "body": "Hi", "tags": ["a", "b"]}, {"nr": 1.5, "body": "Ho", "tags": "a"}]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    prepared = prepare_folder(write_source({"a.jsonl": lines}, {"format": "jsonl", "columns": columns}))
    assert [row["id"] for row in prepared.rows] == ["12345678901234567890123", "1.5"]
    assert [len(row["segments"]) for row in prepared.rows] == [2, 1]
    source = {"format": "jsonl", "columns": {**columns, "text": "boddy"}}
    assert re.match(r"data/mine/a\.jsonl: columns\.text: .*'boddy'", read_error({"a.jsonl": lines}, source))


def test_several_files_are_joined_and_the_origin_of_each_row_is_known() -> None:
    source = {**SOURCE, "file": "raw"}
    folder = write_source({"raw/a.csv": HEADER + "1,Hi,a,b\n\n2,Hi,a,b\n", "raw/b.csv": HEADER + "3,Ho,a,b\n"}, source)
    assert len(prepare_folder(folder).rows) == 3
    origin = read_origin(OUT / "comments/comments.jsonl")
    files = [("data/mine/raw/a.csv", 2), ("data/mine/raw/a.csv", 4), ("data/mine/raw/b.csv", 2)]
    assert [origin.locate_line(line) for line in (1, 2, 3)] == files
    assert read_json(OUT / "comments/origin.json")[0] == {"file": "data/mine/raw/a.csv", "rows": 2}


@pytest.mark.parametrize("name", ["taxonomy.csv", "my labels.csv"])
def test_a_taxonomy_next_to_the_comments_is_used_with_its_empty_levels(name: str) -> None:
    table = "detail;topic;description\nJams;Lock;stuck\n;Price;any\n"
    source = SOURCE if name == "taxonomy.csv" else {**SOURCE, "taxonomy": name, "file": "a.csv"}
    prepared = prepare_folder(write_source({"a.csv": HEADER + "1,Hi,Lock,Jams\n", name: table}, source))
    assert prepared.leaves == [("Lock", "Jams"), ("Price", "(none)")]


def test_many_rows_are_read_in_blocks_and_keep_their_order() -> None:
    lines = "".join(f"{number},Text {number},a,b{number % 7}\n" for number in range(2 * BLOCK_ROWS + 5))
    prepared = prepare_folder(write_source({"a.csv": HEADER + lines}, SOURCE))
    assert [row["id"] for row in prepared.rows] == [str(number) for number in range(2 * BLOCK_ROWS + 5)]


SENTENCES = "".join(f"{n},Hi,This is sentence {n} and it is far too long to be a label,x\n" for n in range(40))
INVALID_TABLES = {
    "a wrong column": ("id,txt,topic,detail\n1,a,b,c\n", "a.csv: columns.text", "'text'.* 'txt'"),
    "duplicate column names": ("id,text,text,topic,detail\n", "a.csv: columns.text", "2 columns .*'text'"),
    "two header rows": (",Review,,Labels\n" + HEADER, "a.csv: columns.text", "'text'"),
    "a duplicate id": (HEADER + "1,a,b,c\n2,a,b,c\n1,d,b,c\n", "a.csv:4", r"id '1' .*data/mine/a\.csv:2"),
    "an empty first level": (HEADER + "1,a,,c\n", "a.csv:2", "first level"),
    "free text as a label": (HEADER + SENTENCES, "a.csv: columns.levels", r"'topic' .*\b40\b"),
    "an extra cell": (HEADER + "1,a, b,c,d\n", "a.csv:2", r"\b4\b.*\b5\b.*commas"),
    "a missing cell": (HEADER + "1,a,b,c\n2,a\n", "a.csv:3", r"\b4\b.*\b2\b"),
    "an unclosed quote": (HEADER + '1,"a,b,c\n' + "x" * 10_000_001, "a.csv:3", "CSV .*field larger"),
    "a text of 1,000,001 characters": (HEADER + f"1,{'a' * 1_000_001},b,c\n", "a.csv:2", "1,000,001"),
    "an empty file": ("", "a.csv", "empty"),
    "only a header": (HEADER, "a.csv", "0 .*text, 0 .*label"),
    "a workbook": (b"PK\x03\x04", "a.csv", "`format: xlsx`"),
}


@pytest.mark.parametrize(("table", "location", "value"), INVALID_TABLES.values(), ids=INVALID_TABLES)
def test_an_error_in_a_table_has_one_line_with_location_and_value(
    table: str | bytes, location: str, value: str
) -> None:
    message = read_error({"a.csv": table})
    assert message.startswith(f"data/mine/{location}: ")
    assert re.search(value, message)
    assert "\n" not in message


def test_the_first_invalid_rows_are_listed_and_the_others_counted() -> None:
    lines = read_error({"a.csv": HEADER + "1,a,,c\n" * 30}).splitlines()
    assert [line.split(": ")[0] for line in lines[:-1]] == [f"data/mine/a.csv:{number}" for number in range(2, 11)]
    assert "21 more" in lines[-1]


@pytest.mark.parametrize(
    ("columns", "row", "expected"),
    [
        ({"split": "id"}, "dev,a,b,c", "split.*'dev'"),
        ({"weight": "id"}, "heavy,a,b,c", "weight.*'heavy'"),
    ],
)
def test_a_field_with_an_invalid_value_is_named_in_the_error(columns: dict[str, str], row: str, expected: str) -> None:
    source = {"format": "csv", "columns": {**COLUMNS, "id": None, **columns}}
    assert re.match(rf"data/mine/a\.csv:2: .*{expected}", read_error({"a.csv": f"{HEADER}{row}\n"}, source))


def test_columns_that_are_not_named_are_listed() -> None:
    message = read_error({"a.csv": HEADER + "1,a,b,c\n"}, {"format": "csv"})
    assert message.startswith("data/mine/source.yaml: columns.text: ")
    assert message.endswith(" id, text, topic, detail")
    message = read_error({"a.csv": HEADER + "1,a,b,c\n"}, {"format": "csv", "columns": {"text": "text"}})
    assert message.startswith("data/mine/source.yaml: columns.levels: ")


def test_a_segment_without_a_clear_comment_is_named_in_the_error() -> None:
    source = {**SOURCE, "row_is": "segment"}
    assert read_error({"a.csv": HEADER + ",,b,c\n"}, source).startswith("data/mine/a.csv:2: ")
    assert re.match(r"data/mine/a\.csv:2: .*'1'", read_error({"a.csv": HEADER + "1,,b,c\n"}, source))
    table = HEADER + "1,a,b,c\n1,other,b,c\n"
    assert re.match(r"data/mine/a\.csv:3: .*'1'", read_error({"a.csv": table}, source))


def test_a_file_without_permission_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_source({"a.csv": HEADER + "1,a,b,c\n"}, SOURCE)
    original_open = Path.open

    def refuse(self: Path, *args: Any, **options: Any) -> Any:
        if self.name == "a.csv":
            raise PermissionError(13, "Permission denied", str(self))
        return original_open(self, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything
    with pytest.raises((InputError, PermissionError)) as caught:
        prepare_folder(folder)
    assert (_make_user_message(caught.value) or "").startswith("data/mine/a.csv: ")


def test_an_error_in_the_taxonomy_names_the_taxonomy_file() -> None:
    folder = write_source(
        {"comments.jsonl": '{"id": "1", "text": "t", "segments": [{"L1": "a"}]}\n', "taxonomy.csv": "L1\na\na\n"}
    )
    with pytest.raises(InputError, match=r"^data/mine/taxonomy\.csv:3: "):
        prepare_folder(folder)


def test_the_error_of_a_repeated_header_names_its_line() -> None:
    assert read_error({"a.csv": HEADER + HEADER + "1,a,b,c\n"}).startswith("data/mine/a.csv:2: ")
    assert read_error({"a.csv": HEADER + "1,a,b,c\n" + HEADER}).startswith("data/mine/a.csv:3: ")


def test_a_header_below_the_last_row_is_named_in_the_error() -> None:
    message = read_error({"a.csv": HEADER + "1,a,b,c\n"}, {**SOURCE, "header": 40})
    assert message.startswith("data/mine/a.csv: ")
    assert "40" in message


def test_a_column_is_used_for_one_field_only_but_may_also_be_the_content() -> None:
    columns = {**COLUMNS, "emotion": "text"}
    message = read_error({"a.csv": HEADER + "1,a,b,c\n"}, {**SOURCE, "columns": columns})
    assert message.startswith("data/mine/source.yaml: columns: ")
    assert all(name in message for name in ("text", "emotion"))
    prepared = prepare_folder(
        write_source({"a.csv": HEADER + "1,a,b,c\n"}, {**SOURCE, "columns": {**COLUMNS, "content": "text"}})
    )
    assert prepared.rows[0]["segments"] == [{"content": "a", "L1": "b", "L2": "c"}]


def test_nul_bytes_in_the_header_are_named_in_the_error() -> None:
    assert re.match(r"data/mine/a\.csv: .*NUL", read_error({"a.csv": b"\0" * 64 + b",b\n1,2\n"}))


def test_another_separator_is_distinguished_from_a_missing_column() -> None:
    message = read_error({"a.csv": (HEADER + "1,a,b,c\n")}, {**SOURCE, "separator": ";"})
    assert re.match(r"data/mine/a\.csv: columns\.text: .*'text'.*`separator`", message)


@pytest.mark.parametrize("kind", ["a folder", "a broken link", "a loop of links"])
def test_a_source_yaml_that_is_not_a_file_is_named_in_the_error(kind: str) -> None:
    folder = write_source({"a.csv": HEADER + "1,a,b,c\n"}, SOURCE)
    path = folder / "source.yaml"
    path.unlink()
    if kind == "a folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere" if kind == "a broken link" else "source.yaml")
    with pytest.raises(InputError, match=r"^data/mine/source\.yaml: "):
        prepare_folder(folder)


def test_a_loop_of_links_instead_of_the_table_is_named_in_the_error() -> None:
    folder = write_source({}, {**SOURCE, "file": "a.csv"})
    (folder / "a.csv").symlink_to("a.csv")
    with pytest.raises(InputError, match=r"^data/mine/a\.csv: "):
        prepare_folder(folder)


def prepare_warnings(files: dict[str, bytes | str], source: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    """Prepare a data folder; return the two places that each warning about its labels names."""
    shutil.rmtree(OUT, ignore_errors=True)
    prepare_folder(write_source(files, source))
    warnings: list[str] = []
    load_taxonomy(OUT / "comments/taxonomy.csv", warnings.append)
    return [find_places(warning) for warning in warnings]


def find_places(text: str) -> tuple[str, str]:
    """Return the place of a message, and the one that it refers to: `on line 3` or `in file:3`."""
    place, _, rest = text.partition(": ")
    line, file = re.search(r" on line (\d+)", rest), re.search(r" in (\S+:\d+)", rest)
    return place.removeprefix("data/mine/"), line[1] if line else file[1].removeprefix("data/mine/") if file else ""


VARIANTS = ["Battery", "battery", "Batt\u00e9ry", "Batte\u0301ry", "Bat\u200btery", "Battery", "Bat\u200btery"]
EXPECTED_PLACES = [(3, 2), (5, 4), (6, 2)]  # of the rows with these labels below a header


def test_similar_labels_of_a_table_are_reported_with_both_places() -> None:
    table = HEADER + "".join(f"{number},Text {number},Lock,{label}\n" for number, label in enumerate(VARIANTS))
    expected = [(f"a.csv:{line}", str(first)) for line, first in EXPECTED_PLACES]
    assert prepare_warnings({"a.csv": table}, SOURCE) == expected


def test_similar_labels_of_two_tables_are_reported_with_both_files() -> None:
    files = {f"raw/{name}.csv": f"{HEADER}{name},Text,{label},x\n" for name, label in (("a", "IT"), ("b", "it"))}
    assert prepare_warnings(files, {**SOURCE, "file": "raw"}) == [("raw/b.csv:2", "raw/a.csv:2")]


def test_similar_labels_of_json_comments_are_reported_with_both_places() -> None:
    rows = [{"id": str(n), "text": f"Text {n}", "segments": [{"L1": label}]} for n, label in enumerate(VARIANTS)]
    lines = "\n" + "".join(json.dumps(row) + "\n" for row in rows)
    expected = [(f"comments.jsonl:{line}", str(first)) for line, first in EXPECTED_PLACES]
    assert prepare_warnings({"comments.jsonl": lines}) == expected


COMMENTS = '{"id": "1", "text": "t", "segments": [{"L1": "Caf\\u00e9", "L2": "a"}]}\n'


@pytest.mark.parametrize("last", ["Other,b", "Other,"])
def test_similar_labels_of_a_taxonomy_are_reported_with_the_lines_of_its_file(last: str) -> None:
    table = f"L1,L2\nCaf\u00e9,a\nCafe\u0301,b\ncaf\u00e9,c\n{last}\n"
    expected = [("taxonomy.csv:3", "2"), ("taxonomy.csv:4", "2")]
    assert prepare_warnings({"comments.jsonl": COMMENTS, "taxonomy.csv": table}) == expected
    assert prepare_warnings({"comments.jsonl": COMMENTS, "taxonomy.csv": f"L1,L2\nCaf\u00e9,a\n{last}\n"}) == []


@pytest.mark.parametrize("last", ["Other,b", "Other,"])
def test_a_duplicate_path_in_two_encodings_is_an_error_with_both_places(last: str) -> None:
    folder = write_source({"comments.jsonl": COMMENTS, "taxonomy.csv": f"L1,L2\nCaf\u00e9,a\n{last}\nCafe\u0301,a\n"})
    with pytest.raises(InputError) as caught:
        prepare_folder(folder)
    assert find_places(str(caught.value)) == ("taxonomy.csv:4", "2")


@pytest.mark.parametrize("last", ["Other,b", "Other,"])
def test_a_line_break_in_a_label_of_a_taxonomy_is_an_error(last: str) -> None:
    folder = write_source({"comments.jsonl": COMMENTS, "taxonomy.csv": f'L1,L2\n{last}\nCaf\u00e9,"a\nb"\n'})
    with pytest.raises(InputError, match=r"^data/mine/taxonomy\.csv:3: .*'a b'.*line break"):
        prepare_folder(folder)


def test_a_line_break_in_a_label_of_a_table_is_an_error_unless_it_separates_labels() -> None:
    table = HEADER + '1,"a\nb","Lock\n",Jams\n2,Hi,Lock,"Jams\nDear"\n'
    message = read_error({"a.csv": table})
    assert re.match(r"data/mine/a\.csv:5: .*'Jams Dear'.*line break", message)
    assert "\n" not in message
    rows = read_segments(HEADER + '1,Hi,"Lock\nPrice","Jams\nDear"\n', label_separator="\n")
    assert [segment["L2"] for segment in rows[0]] == ["Jams", "Dear"]


def test_segments_are_joined_by_text_in_any_encoding() -> None:
    columns = {"text": "text", "levels": ["topic", "detail"]}
    table = HEADER + "7,Caf\u00e9 jams,Lock,Jams\n8,Fine,Price,Fair\n9,Cafe\u0301\u200b  jams,Price,Dear\n"
    for source in ({"columns": columns}, {}):
        rows = prepare_folder(
            write_source({"a.csv": table.replace("9,", "7,")}, {**SOURCE, "row_is": "segment", **source})
        ).rows
        assert [(row["text"], len(row["segments"])) for row in rows] == [("Caf\u00e9 jams", 2), ("Fine", 1)]


def test_null_levels_of_json_comments_are_none_in_the_taxonomy() -> None:
    segments = [{"L1": "A", "L2": None}, {"L1": "B", "L2": "b"}, {"L1": "C"}, {"L1": None, "L2": "b"}]
    rows = [{"id": str(n), "text": f"Text {n}", "segments": [segment]} for n, segment in enumerate(segments)]
    prepared = prepare_folder(write_source({"comments.jsonl": "".join(json.dumps(row) + "\n" for row in rows)}))
    assert prepared.leaves == [("A", "(none)"), ("B", "b"), ("C", "(none)")]


def test_invisible_characters_next_to_the_separator_of_a_path_are_ignored() -> None:
    table = HEADER + "1,Hi,Lock > Jams,\n2,Ho,Lock >\u200b Jams,\n"
    rows = read_segments(table, columns={"text": "text", "levels": ["topic"]}, path_separator=" > ")
    assert rows == [[{"L1": "Lock", "L2": "Jams"}]] * 2
