"""General examples from many files become one checked file."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from data.general.convert import convert, find_files, main
from stages.general_data import read_general
from stages.records import InputError, read_jsonl

SHARED = Path(__file__).parents[2] / "shared/data/general"
Row = dict[str, Any]


def example(identity: str, answer: str = "4", **more: Any) -> Row:
    turns = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": answer}]
    return {"id": identity, "category": "math", "source": "sums", "lang": "en", "messages": turns, **more}


def jsonl(*rows: Row) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = Path("data/general/raw")
    folder.mkdir(parents=True)
    return folder


def converted() -> list[Row]:
    main()
    return read_jsonl("data/general/general.jsonl")


def fault() -> str:
    with pytest.raises(InputError) as caught:
        main()
    assert [path.name for path in Path("data/general").iterdir()] == ["raw"], "a fault leaves nothing behind"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_plain_or_packed_are_joined_in_name_order(raw: Path) -> None:
    (raw / "b.jsonl").write_bytes(jsonl(example("3")))
    (raw / "a.jsonl.gz").write_bytes(gzip.compress(jsonl(example("2"), example("1"))))
    (raw / "SOURCE.md").write_text("# where it is from")
    assert converted() == [example("2"), example("1"), example("3")]


def test_unknown_keys_are_dropped_and_a_missing_language_stays_missing(raw: Path) -> None:
    row = example("1", license="MIT")
    row["messages"][0]["weight"] = 1
    del row["lang"]
    (raw / "a.jsonl").write_bytes(jsonl(row))
    wanted = example("1")
    del wanted["lang"]
    assert converted() == [wanted]


def test_the_stages_read_what_was_converted(raw: Path) -> None:
    (raw / "a.jsonl").write_bytes(jsonl(example("1"), example("2")))
    rows = converted()
    assert read_general(Path("data/general/general.jsonl")) == rows


def test_an_id_in_two_files_is_refused(raw: Path) -> None:
    (raw / "a.jsonl").write_bytes(jsonl(example("1")))
    (raw / "b.jsonl").write_bytes(jsonl(example("2"), example("1")))
    assert fault().startswith("data/general/raw/b.jsonl:2: id '1' stands twice")


CHAT = "`messages` must be a list of {role, content} that ends with the assistant"
BAD = {
    "no id": (example("x", id=None), "`id` is missing"),
    "no category": (example("x", category=None), "`category` or `source` is missing"),
    "no source": (example("x", source=3), "`category` or `source` is missing"),
    "no messages": (example("x", messages="hello"), CHAT),
    "a message without content": (example("x", messages=[{"role": "user"}, {"role": "assistant"}]), CHAT),
    "a question at the end": (example("x", messages=example("x")["messages"][::-1]), CHAT),
    "an answer alone": (example("x", messages=example("x")["messages"][1:]), CHAT),
    "an empty answer": (example("x", answer=" \n"), "the assistant's last message is empty"),
}


@pytest.mark.parametrize(("row", "wanted"), BAD.values(), ids=BAD)
@pytest.mark.parametrize(("name", "pack"), [("a.jsonl", bytes), ("a.jsonl.gz", gzip.compress)])
def test_a_fault_names_file_and_line(raw: Path, name: str, pack: Any, row: Row, wanted: str) -> None:
    (raw / name).write_bytes(pack(jsonl(example("1")) + b"\n" + jsonl(row)))
    assert fault().startswith(f"data/general/raw/{name}:3: {wanted}")


def test_a_malformed_line_is_named(raw: Path) -> None:
    (raw / "a.jsonl").write_bytes(jsonl(example("1")) + b'{"id": \n')
    assert fault().startswith("data/general/raw/a.jsonl:2: not valid JSON")


@pytest.mark.parametrize("spoil", [lambda whole: whole[:-9], lambda whole: b"no" + whole])
def test_a_broken_gzip_file_is_one_line(raw: Path, spoil: Any) -> None:
    (raw / "a.jsonl.gz").write_bytes(spoil(gzip.compress(jsonl(example("1")))))
    assert fault().startswith("data/general/raw/a.jsonl.gz: not a whole gzip file")


def test_an_empty_folder_says_what_to_put_there(raw: Path) -> None:
    (raw / ".gitkeep").touch()
    assert fault().startswith("data/general/raw: no .jsonl or .jsonl.gz file; put general examples there")


def test_the_real_examples_are_all_there() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: the real general data cannot be read")
    counts: Counter[str] = Counter()
    assert sum(1 for _ in convert(find_files(SHARED), counts)) == 98_460
    assert len(counts) == 11
    assert counts["gsm8k_train"] == 7_473
