"""MAMS becomes canonical comments, from the published XML files or from JSON Lines."""

import json
from pathlib import Path

import pytest

from alloy.core.files import InputError
from prepared import Prepared, prepare_folder
from real import SHARED

REVIEWS = {
    "train": [("Good food, slow staff & no menu.", [("food", "positive"), ("staff", "negative"), ("menu", "neutral")])],
    "val": [("Cheap, but far away.", [("price", "positive"), ("place", "negative")])],
    "test": [("Nice place, dear wine.", [("place", "positive"), ("price", "negative")])],
}
WANTED = [
    ("mams-acsa-train-0", "train", [("food", "positive"), ("staff", "negative"), ("menu", "neutral")]),
    ("mams-acsa-val-0", "train", [("price", "positive"), ("place", "negative")]),
    ("mams-acsa-test-0", "test", [("place", "positive"), ("price", "negative")]),
]


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = Path("data/mams/raw")
    folder.mkdir(parents=True)
    (folder.parent / "source.yaml").write_text("format: mams\n")
    return folder


def run_conversion() -> Prepared:
    return prepare_folder(Path("data/mams"))


def write_xml(raw: Path) -> None:
    for split, reviews in REVIEWS.items():
        sentences = "".join(
            f"<sentence><text>{text.replace('&', '&amp;')}</text><aspectCategories>"
            + "".join(f'<aspectCategory category="{c}" polarity="{p}"/>' for c, p in labels)
            + "</aspectCategories></sentence>"
            for text, labels in reviews
        )
        (raw / f"{split}.xml").write_text(f"<?xml version='1.0'?><sentences>{sentences}</sentences>")


def write_lines(raw: Path) -> None:
    rows = [
        {
            "id": f"mams-acsa-{split}-0",
            "text": text,
            "split": split,
            "task": "ACSA",
            "labels": [{"L1": category, "sentiment": polarity} for category, polarity in labels],
        }
        for split, ((text, labels),) in REVIEWS.items()
    ]
    other = {"id": "a", "text": "t", "split": "train", "task": "ATSA", "labels": [{"term": "t"}]}
    (raw / "mams.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, other]))


@pytest.mark.parametrize("write", [write_xml, write_lines])
def test_categories_become_labels_and_polarities_emotions(raw: Path, write) -> None:
    write(raw)
    made = run_conversion()
    rows = sorted(
        made.rows,
        key=lambda row: WANTED.index(next(w for w in WANTED if w[0] == row["id"])),
    )
    found = [(row["id"], row["split"], [(s["L1"], s["emotion"]) for s in row["segments"]]) for row in rows]
    assert found == WANTED
    assert rows[0]["text"] == "Good food, slow staff & no menu."
    assert made.leaves == [("food",), ("menu",), ("place",), ("price",), ("staff",)]


def test_a_missing_file_is_named_in_the_error(raw: Path) -> None:
    with pytest.raises(InputError, match=r"^data/mams/raw: no train\.xml.*https://"):
        run_conversion()
    write_xml(raw)
    (raw / "val.xml").unlink()
    with pytest.raises(InputError, match=r"^data/mams/raw: expected .*got test\.xml, train\.xml"):
        run_conversion()


def test_two_layouts_at_once_are_refused(raw: Path) -> None:
    write_xml(raw)
    write_lines(raw)
    with pytest.raises(InputError, match=r"^data/mams/raw: .*XML .*JSON Lines"):
        run_conversion()


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("<sentences><sentence>", "train.xml:1"),
        ("<sentences><sentence><text>t</text><aspectTerms/></sentence></sentences>", "train.xml: sentence 1"),
        ('<sentences><sentence><aspectCategory category="food"/></sentence></sentences>', "train.xml: sentence 1"),
    ],
)
def test_an_unexpected_file_is_named_in_the_error(raw: Path, text: str, location: str) -> None:
    write_xml(raw)
    (raw / "train.xml").write_text(text)
    with pytest.raises(InputError) as error:
        run_conversion()
    assert str(error.value).startswith(f"data/mams/raw/{location}")


@pytest.mark.parametrize("change", [{"labels": None}, {"labels": []}, {"text": " "}, {"split": "dev"}, {"id": 3}])
def test_an_invalid_row_is_named_in_the_error(raw: Path, change: dict) -> None:
    row = {"id": "1", "text": "t", "split": "train", "labels": [{"L1": "food", "sentiment": "neutral"}], **change}
    (raw / "mams.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match=r"^data/mams/raw/mams\.jsonl:1: "):
        run_conversion()


def test_the_shared_file_gives_as_many_as_the_readme_says(raw: Path) -> None:
    path = SHARED / "mams/mams.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path} is absent: there is no real text to test on")
    (raw / path.name).symlink_to(path)
    assert run_conversion().printed[0].startswith("3949 comments, 400 of them")
