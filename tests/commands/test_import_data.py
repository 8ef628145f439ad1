"""`alloy import` guesses the columns of a table, prints the guess, and writes nothing if the result would not work."""

import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import yaml
from typer.testing import CliRunner

from alloy.commands.app import app
from alloy.core.files import InputError
from data_folders import prepare_folder

TEXTS = ["The lock jams every morning", "Far too dear for what it is", "Arrived on time, thank you"]
LABELS = [("Lock", "Jams"), ("Price", "Too high"), ("Delivery", "On time")]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").touch()


def make_table(header: str, count: int = 30, separator: str = ";") -> str:
    """Return a table of an id, a text, two levels, an emotion and a date, under a header."""
    rows = [
        [str(n), f"{TEXTS[n % 3]} ({n})", *LABELS[n % 3], ("joy", "anger")[n % 2], f"2024-05-{n % 28 + 1:02}"]
        for n in range(count)
    ]
    return "\n".join([header, *(separator.join(f'"{cell}"' for cell in row) for row in rows)]) + "\n"


def import_file(content: str | bytes | None, file: str = "reviews.csv", *words: str) -> tuple[dict[str, Any], str]:
    """Import a file, and return source.yaml with what was printed."""
    if content is not None:
        Path(file).write_bytes(content.encode() if isinstance(content, str) else content)
    shown = CliRunner().invoke(app, ["import", file, "--as", "mine", "--yes", *words], catch_exceptions=False)
    return yaml.safe_load(Path("data/mine/source.yaml").read_text(encoding="utf-8")), shown.output


def read_error(content: str | bytes | None, file: str = "reviews.csv", *words: str) -> str:
    with pytest.raises(InputError) as caught:
        import_file(content, file, *words)
    assert not Path("data").exists() or list(Path("data").iterdir()) == [], "a failed command writes no output"
    return str(caught.value)


HEADERS = {
    "English": "Review ID;Comment;Category;Subcategory;Sentiment;Date",
    "German": "Lfd. Nr.;Kundenkommentar;Oberkategorie;Unterkategorie;Stimmung;Datum",
    "Spanish": "Número;Comentario;Categoría;Subcategoría;Emoción;Fecha",
    "French": "N°;Commentaire;Catégorie;Sous-catégorie;Émotion;Date",
    "Italian": "Codice ID;Recensione;Categoria;Sottocategoria;Emozione;Data",
    "Portuguese": "Código;Comentário;Categoria;Subcategoria;Emoção;Data",
    "Russian": "Номер;Отзыв;Категория;Подкатегория;Эмоция;Дата",
    "Chinese": "编号;评论内容;一级分类;二级分类;情绪;日期",
    "Japanese": "番号;レビュー本文;大カテゴリ;小カテゴリ;感情;日付",
    "Korean": "번호;리뷰 내용;대분류;소분류;감정;날짜",
    "levels by number": "id;text;L1;L2;emotion;date",
    "names run together": "reviewId;reviewText;category_1;category_2;emotion;created",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_columns_are_found_by_their_names_in_many_languages(header: str) -> None:
    names = header.split(";")
    source, _ = import_file(make_table(header))
    columns = source["columns"]
    assert (columns["text"], columns["levels"], columns["emotion"]) == (names[1], names[2:4], names[4])
    assert columns.get("id", names[0]) == names[0]
    prepared = prepare_folder(Path("data/mine"))
    assert (len(prepared.rows), prepared.leaves) == (30, sorted(LABELS))


def test_columns_with_meaningless_names_are_found_by_their_values() -> None:
    source, shown = import_file(make_table("a;b;c;d;e;f").replace('"joy"', '""').replace('"anger"', '""'))
    assert source["columns"] == {"text": "b", "levels": ["c", "d"]}
    assert "from column 'b'" in shown


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252", "cp1250"])
def test_encodings_and_separators_of_spreadsheet_programs_are_found(encoding: str) -> None:
    text = make_table("Nr;Kommentar;Kategorie;Unterkategorie;Gefühl;Datum").replace(
        "lock jams", "Tür klemmt, für ewig, größer"
    )
    source, _ = import_file(text.encode(encoding))
    assert source.get("encoding") == ("windows-1252" if encoding.startswith("cp") else None)
    assert "Tür klemmt" in prepare_folder(Path("data/mine")).rows[0]["text"]


@pytest.mark.parametrize("above", ["sep=;\n", "Export of 2024-05-31;;;;;\n;;;;;\n", ";Review;;Labels;;\n"])
def test_rows_above_the_header_are_skipped(above: str) -> None:
    source, _ = import_file(above + make_table("id;comment;L1;L2;emotion;date"))
    assert source["columns"]["levels"] == ["L1", "L2"]
    assert len(prepare_folder(Path("data/mine")).rows) == 30


def test_several_labels_in_a_cell_are_split() -> None:
    tags = ["Price|Service", "Price", "Service", "Food|Price", "Food"]
    many = "review,tags\n" + "".join(f"It was so and so {n},{tags[n % 5]}\n" for n in range(40))
    assert import_file(many)[0]["label_separator"] == "|"
    assert prepare_folder(Path("data/mine")).leaves == [("Food",), ("Price",), ("Service",)]


def test_whole_paths_in_a_cell_are_split() -> None:
    paths = ["Price > Too high", "Price > Fair", "Food > Cold"]
    source, _ = import_file("review,label\n" + "".join(f"It was so and so {n},{paths[n % 3]}\n" for n in range(40)))
    assert source["path_separator"] == ">"
    assert prepare_folder(Path("data/mine")).leaves == [("Food", "Cold"), ("Price", "Fair"), ("Price", "Too high")]


def test_repeated_ids_show_that_a_row_is_a_segment() -> None:
    rows = "".join(f"{n // 2},{TEXTS[n // 2 % 3].replace(',', '')},T{n % 2}\n" for n in range(40))
    source, _ = import_file("comment id,comment,topic\n" + rows)
    assert source["row_is"] == "segment"
    assert {len(row["segments"]) for row in prepare_folder(Path("data/mine")).rows} == {2}


def test_a_workbook_with_merged_cells_dates_and_hidden_sheets_is_read() -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["Survey 2024"], [], ["ID", "Feedback", "Topic", "Mood"]):
        sheet.append(row)
    for n in range(0, 20, 2):
        sheet.append([n, TEXTS[n % 3], f"T{n % 3}", "good"])
        sheet.append([None, None, f"U{n % 3}", "bad"])
        sheet.merge_cells(start_row=4 + n, end_row=5 + n, start_column=1, end_column=1)
        sheet.merge_cells(start_row=4 + n, end_row=5 + n, start_column=2, end_column=2)
    hidden = book.create_sheet("Lists")
    hidden.sheet_state = "hidden"
    hidden["A1"] = "x"
    book.save("reviews.xlsx")
    source, _ = import_file(None, "reviews.xlsx")
    assert (source["header"], source["row_is"], source["sheet"]) == (3, "segment", "Sheet")
    assert {len(row["segments"]) for row in prepare_folder(Path("data/mine")).rows} == {2}


def test_columns_that_the_user_names_override_the_guess() -> None:
    words = ["--text", "Note", "--levels", "Kind", "--id", "Key"]
    rows = "".join(
        f"{n},k{n},short {n},A much longer text that is no comment {n},K{n % 3},T{n % 2}\n" for n in range(20)
    )
    source, _ = import_file("id,Key,Note,comment,Kind,topic\n" + rows, "reviews.csv", *words)
    assert (source["columns"]["text"], source["columns"]["levels"], source["columns"]["id"]) == (
        "Note",
        ["Kind"],
        "Key",
    )


def test_the_labels_are_written_if_requested_and_git_ignores_the_data() -> None:
    import_file(make_table("id;comment;L1;L2;emotion;date"), "reviews.csv", "--taxonomy")
    written = sorted(path.name for path in Path("data/mine").iterdir())
    assert written == [".gitignore", "reviews.csv", "source.yaml", "taxonomy.csv"]
    assert Path("data/mine/taxonomy.csv").read_text().splitlines()[:2] == ["L1,L2,description", "Delivery,On time,"]
    assert Path("data/mine/.gitignore").read_text() == "/reviews.csv\n"


@pytest.mark.parametrize(
    ("row", "format_", "kind"),
    [
        ({"instruction": "Why?", "output": "So."}, "alpaca", "general"),
        ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}, "sharegpt", "general"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, "openai", "general"),
        ({"id": "1", "text": "Hi", "segments": [{"L1": "a"}]}, "jsonl", "comments"),
    ],
)
def test_instruction_data_and_canonical_comments_are_recognized_by_their_keys(
    row: Any, format_: str, kind: str
) -> None:
    source, shown = import_file(json.dumps(row) + "\n", "data.jsonl")
    assert source["format"] == format_
    assert f"write `{kind}: mine`" in shown


def test_control_characters_are_not_printed() -> None:
    _, shown = import_file(make_table("id;comment;L1;L2;emotion;date").replace("every", "\x1b[31mevery\u202e"))
    assert "\x1b" not in shown
    assert "\u202e" not in shown


# The content, the file, the location in the error, and a word in it.
BAD: dict[str, tuple[str | bytes, str, str, str]] = {
    "mixed encodings": ("id,comment,topic\n1,Zürich,a\n".encode() + b"2,Z\xfcrich,a\n", "a.csv", "a.csv:3", "byte 4"),
    "no text": ("a,b\n1,2\n3,4\n", "a.csv", "a.csv", "--text"),
    "no labels": ("id,comment\n1,It is fine\n", "a.csv", "a.csv", "--levels"),
    "a header alone": ("id,comment,topic\n", "a.csv", "a.csv", "header"),
    "an empty file": (b"", "a.csv", "a.csv", "empty"),
    "a merge conflict": ("<<<<<<< HEAD\nid,comment,topic\n1,a,b\n", "a.csv", "a.csv:1", "merge conflict"),
    "a cell too many": ("id,comment,topic\n1,a, b,c\n", "a.csv", "a.csv:2", "got 4"),
    "a bad row": ("id,comment,L1,L2\n1,Hi,a,b\n2,Ho,,b\n", "a.csv", "a.csv:3", "first level"),
    "not a workbook": ("id,comment", "a.xlsx", "a.xlsx", "workbook"),
    "an unknown kind": ("x", "a.doc", "a.doc", ".xlsx"),
    "not JSON": ("[{", "a.json", "a.json:1", "JSON"),
}


@pytest.mark.parametrize(("content", "file", "location", "value"), BAD.values(), ids=BAD)
def test_a_file_that_cannot_be_imported_is_named_in_a_one_line_error(
    content: str | bytes, file: str, location: str, value: str
) -> None:
    message = read_error(content, file)
    assert message.startswith(f"{location}: ")
    assert value in message
    assert "\n" not in message


def test_a_folder_or_a_missing_file_is_named_in_the_error() -> None:
    Path("sub").mkdir()
    assert read_error(None, "sub").startswith("sub: ")
    missing = read_error(None, "b.csv")
    assert missing.startswith("b.csv: ")
    assert "dvc.yaml" in missing  # a file that exists
    unknown = read_error("id,comment,topic\n1,Hi,a\n", "a.csv", "--levels", "Topics")
    assert unknown.startswith("a.csv: ")
    assert "'Topics'" in unknown


@pytest.mark.parametrize("name", ["../mine", "prepared", "a b", ""])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str) -> None:
    Path("a.csv").write_text("id,comment,topic\n1,Hi,a\n2,Ho,a\n")
    with pytest.raises(InputError, match=r"^--as: "):
        CliRunner().invoke(app, ["import", "a.csv", "--as", name, "--yes"], catch_exceptions=False)


def test_nothing_is_written_without_a_yes_and_nothing_is_overwritten() -> None:
    Path("a.csv").write_text("id,comment,topic\n1,Hi there,a\n2,Ho there,a\n3,He there,b\n")
    with pytest.raises(InputError, match="--yes"):
        CliRunner().invoke(app, ["import", "a.csv", "--as", "mine"], catch_exceptions=False)
    assert not Path("data/mine").exists()
    import_file(None, "a.csv")
    with pytest.raises(InputError, match=r"^data/mine: "):
        import_file(None, "a.csv")
