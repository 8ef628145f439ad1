"""General examples from many files become one checked file."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from alloy.core.files import InputError, find_files, is_jsonl, read_jsonl
from alloy.formats.general import read_general
from data.general.convert import WANTED, convert, main

SHARED = Path(__file__).parents[3] / "shared/data/general"
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
    row = example("1", weight=2)
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
    assert fault().startswith("data/general/raw/b.jsonl:2: duplicate id '1'")


CHAT = "`messages` must be a list of {role, content} that ends with the assistant"
BAD = {
    "no id": (example("x", id=None), "`id` is missing"),
    "an empty id": (example(" "), "`id` is missing, empty or no string; give each row its own id"),
    "an empty category": (example("x", category=""), "`category` or `source` is missing or empty; say what kind"),
    "an empty source": (example("x", source=" "), "`category` or `source` is missing or empty; say what kind"),
    "no category": (example("x", category=None), "`category` or `source` is missing"),
    "no source": (example("x", source=3), "`category` or `source` is missing"),
    "a category that is the customers'": (
        example("x", category="customer"),
        "category 'customer' is kept for the comm",
    ),
    "a source that is the customers'": (example("x", source="customer"), "source 'customer' is kept for the comments"),
    "an empty licence": (example("x", license=" "), "`license` is ' '; write a name such as MIT, or leave it out"),
    "two licences": (example("x", license=["MIT", "BSD"]), "`license` is ['MIT', 'BSD']; write a name"),
    "no messages": (example("x", messages="hello"), CHAT),
    "a message without content": (example("x", messages=[{"role": "user"}, {"role": "assistant"}]), CHAT),
    "a question at the end": (example("x", messages=example("x")["messages"][::-1]), CHAT),
    "an answer alone": (example("x", messages=example("x")["messages"][1:]), CHAT),
    "a role that no model knows": (
        example("x", messages=[{"role": "human", "content": "2 + 2?"}, example("x")["messages"][1]]),
        "role 'human' is none that models know; write system, user, assistant or tool",
    ),
    "an empty question": (
        example("x", messages=[{"role": "user", "content": " "}, example("x")["messages"][1]]),
        "a message of the user is empty; give the question or drop the row",
    ),
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


def licences(raw: Path, text: str | bytes) -> None:
    (raw / "licences.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())


def test_a_row_keeps_its_licence_and_another_takes_that_of_its_source(raw: Path) -> None:
    (raw / "a.jsonl").write_bytes(jsonl(example("1", license="MIT"), example("2"), example("3", source="else")))
    licences(raw, "sums: CC BY 4.0  # but for some\n")
    assert [row.get("license") for row in converted()] == ["MIT", "CC BY 4.0", None]


def test_without_the_file_rows_have_the_licences_that_they_say(raw: Path) -> None:
    (raw / "a.jsonl").write_bytes(jsonl(example("1", license="MIT"), example("2")))
    assert converted() == [example("1", license="MIT"), example("2")]


BAD_LICENCES = {
    "a source without rows": (
        "sums: MIT\nsum: MIT\nmore: MIT",
        ": there is no row of more, sum; name of sums, or leave it out",
    ),
    "no name": ("sums:", ": sums: None where the name of a licence belongs; write it in quotes"),
    "a number": ("sums: 4.0", ": sums: 4.0 where the name of a licence belongs; write it in quotes"),
    "an empty name": ("sums: ' '", ": sums: ' ' where the name of a licence belongs"),
    "a list": ("- sums", ": write `source: licence` lines"),
    "an empty file": ("", ": write `source: licence` lines"),
    "no YAML": ("sums: MIT\nelse: [", ":2: not valid YAML"),
    "a control character": ("sums: \x01", ": not valid YAML"),
    "no UTF-8": (b"sums: \xff", ": not UTF-8"),
}


@pytest.mark.parametrize(("text", "wanted"), BAD_LICENCES.values(), ids=BAD_LICENCES)
def test_a_fault_in_the_licences_is_one_line(raw: Path, text: str | bytes, wanted: str) -> None:
    (raw / "a.jsonl").write_bytes(jsonl(example("1")))
    licences(raw, text)
    assert fault().startswith(f"data/general/raw/licences.yaml{wanted}")


def test_the_real_examples_are_all_there(tmp_path: Path) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: the real general data cannot be read")
    counts: Counter[str] = Counter()
    licences = tmp_path / "licences.yaml"
    readme = (Path(__file__).parents[2] / "data/general/README.md").read_text(encoding="utf-8")
    licences.write_text(readme.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    found = {
        row["source"]: row.get("license")
        for row in convert(find_files(SHARED, is_jsonl, WANTED), licences, counts, Counter())
    }
    assert counts.total() == 98_460
    assert len(counts) == 11
    assert counts["gsm8k_train"] == 7_473
    assert all(found.values()), "the README names the licence of every source"
    assert found["mbpp_train"] == "CC BY 4.0"
    assert found["llm_adapters_qa_train"] == "ODC-By and CC BY-SA"


def test_null_is_absent_and_dropped_keys_are_told(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (raw / "a.jsonl").write_bytes(jsonl(example("1", license=None, rating=5) | {"lang": None}))
    (row,) = converted()
    assert sorted(row) == ["category", "id", "messages", "source"]
    assert "data/general/raw: unknown key `rating` in 1 row has no effect" in capsys.readouterr().out
