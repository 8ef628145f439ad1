"""Convert MAMS, restaurant reviews with several opinions each, to canonical comments and their taxonomy.

The raw files are train.xml, val.xml and test.xml of MAMS-ACSA, or JSON Lines of {id, text, split, task, labels: [{L1,
sentiment}]}. Of the JSON rows, those with task ACSA are used.

The label is the category (food, service, ...), the emotion is the polarity. MAMS's test set is the test set. Its
validation set is added to the training set, since no setting is tuned on it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from alloy.core.files import InputError, Row, decode_lines, find_files, is_jsonl, write_atomically, write_jsonl
from alloy.core.tables import format_csv

SOURCE = "https://github.com/siat-nlp/MAMS-for-ABSA/tree/master/data/MAMS-ACSA/raw"
SPLITS = ("train", "val", "test")
NO_FILES = f"no train.xml, val.xml and test.xml; use the files of MAMS-ACSA: {SOURCE}"


def read_xml(path: Path) -> Iterator[Row]:
    """Yield the canonical comments of a published file. Its name is the split."""
    split = path.stem.lower()
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise InputError(f"{path}:{error.position[0]}: not valid XML ({error.msg}); download the file again") from None
    for number, sentence in enumerate(root.iter("sentence")):
        labels = [(label.get("category"), label.get("polarity")) for label in sentence.iter("aspectCategory")]
        if not labels:
            raise InputError(
                f"{path}: sentence {number + 1} has no aspectCategory; use the files of MAMS-ACSA: {SOURCE}"
            )
        text = sentence.findtext("text", "")
        location, keys = f"{path}: sentence {number + 1}", "text, category and polarity"
        yield build_comment(location, f"mams-acsa-{split}-{number}", text, split, labels, keys)


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the canonical comments of a JSON Lines file."""
    for number, row in decode_lines(path):
        if isinstance(row, InputError):
            raise row
        location, labels = f"{path}:{number}", row.get("labels")
        if not isinstance(labels, list) or not all(isinstance(label, dict) for label in labels):
            raise InputError(f"{location}: `labels` is not a list of objects; write [{{L1, sentiment}}, ...]")
        if row.get("task", "ACSA") == "ACSA":
            pairs = [(label.get("L1"), label.get("sentiment")) for label in labels]
            keys = "id, text, L1 and sentiment"
            yield build_comment(location, row.get("id"), row.get("text"), row.get("split"), pairs, keys)


def build_comment(
    location: str, identity: object, text: object, split: object, labels: Sequence[tuple[object, object]], keys: str
) -> Row:
    """Return a canonical comment; raise `InputError` at `location` if a value is missing or not a string.

    `keys` are the names of the values in the file.
    """
    values = [identity, text, *(value for label in labels for value in label)]
    if not labels or not all(isinstance(value, str) and value.strip() for value in values):
        raise InputError(f"{location}: expected strings {keys}; download the file again")
    if split not in SPLITS:
        raise InputError(f"{location}: expected a split of {', '.join(SPLITS)}, got {split!r}")
    segments = [{"L1": category, "emotion": polarity} for category, polarity in labels]
    train_or_test = "test" if split == "test" else "train"
    return {"id": identity, "lang": "en", "text": text, "split": train_or_test, "segments": segments}


def read_raw(raw: Path) -> list[Row]:
    """Return the comments of all files under `raw`."""
    expected = {f"{split}.xml" for split in SPLITS}
    files = find_files(raw, lambda name: name.lower() in expected or is_jsonl(name), NO_FILES)
    published = [path for path in files if path.suffix == ".xml"]
    if published and len(published) < len(files):
        raise InputError(f"{raw}: expected XML or JSON Lines files, got both; remove one kind")
    missing = sorted(expected - {path.name.lower() for path in published})
    if published and (missing or len(published) > len(expected)):
        found = ", ".join(str(path.relative_to(raw)) for path in published)
        raise InputError(
            f"{raw}: expected one each of train.xml, val.xml, test.xml, got {found}; download them: {SOURCE}"
        )
    return [row for path in files for row in (read_xml(path) if published else read_rows(path))]


def convert_mams(raw: Path, out: Path) -> list[str]:
    """Write comments.jsonl and taxonomy.csv from the files below `raw`; return the lines to print."""
    rows = read_raw(raw)
    categories = sorted({segment["L1"] for row in rows for segment in row["segments"]})
    write_jsonl(out / "comments.jsonl", rows)
    text = format_csv(["L1", "description"], ([category, ""] for category in categories))
    write_atomically(out / "taxonomy.csv", lambda file: file.write_text(text, encoding="utf-8"))
    test = sum(row["split"] == "test" for row in rows)
    return [f"{len(rows)} comments, {test} of them for the test, {len(categories)} categories"]
