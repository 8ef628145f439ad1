"""MAMS becomes canonical comments, from the published XML files or from JSON Lines."""

import json
import re
from pathlib import Path

import pytest

from alloy.core.files import InputError
from data_folders import Prepared, prepare_folder
from shared_data import SHARED

REVIEWS = {
    "train": [("Good food, slow staff & no menu.", [("food", "positive"), ("staff", "negative"), ("menu", "neutral")])],
    "val": [("Cheap, but far away.", [("price", "positive"), ("place", "negative")])],
    "test": [("Nice place, dear wine.", [("place", "positive"), ("price", "negative")])],
}
EXPECTED_COMMENTS = [
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


def write_jsonl_file(raw: Path) -> None:
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
    term_row = {"id": "a", "text": "t", "split": "train", "task": "ATSA", "labels": [{"term": "t"}]}
    (raw / "mams.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, term_row]))


@pytest.mark.parametrize("write", [write_xml, write_jsonl_file])
def test_categories_become_labels_and_polarities_emotions(raw: Path, write) -> None:
    write(raw)
    prepared = run_conversion()
    rows = sorted(
        prepared.rows,
        key=lambda row: [identity for identity, _, _ in EXPECTED_COMMENTS].index(row["id"]),
    )
    comments = [(row["id"], row["split"], [(s["L1"], s["emotion"]) for s in row["segments"]]) for row in rows]
    assert comments == EXPECTED_COMMENTS
    assert rows[0]["text"] == "Good food, slow staff & no menu."
    assert prepared.leaves == [("food",), ("menu",), ("place",), ("price",), ("staff",)]


def test_a_missing_file_is_named_in_the_error(raw: Path) -> None:
    with pytest.raises(InputError, match=r"^data/mams/raw: .*train\.xml.*https://"):
        run_conversion()
    write_xml(raw)
    (raw / "val.xml").unlink()
    with pytest.raises(InputError, match=r"^data/mams/raw: .*test\.xml, train\.xml"):
        run_conversion()


def test_two_layouts_at_once_are_refused(raw: Path) -> None:
    write_xml(raw)
    write_jsonl_file(raw)
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


def test_the_shared_file_has_the_counts_in_the_readme(raw: Path) -> None:
    path = SHARED / "mams/mams.jsonl.gz"
    if not path.is_file():
        pytest.skip(f"{path} is absent: there is no real text to test on")
    (raw / path.name).symlink_to(path)
    assert re.findall(r"\d+", run_conversion().printed[0])[:2] == ["3949", "400"]
