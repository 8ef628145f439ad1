"""The stage `prepare`: all kinds of data, and one line if a folder or its source.yaml is wrong."""

import json
import re
from pathlib import Path

import pytest

from alloy.core.files import InputError, hash_path, write_jsonl
from data_folders import prepare_folder, write_source
from stages import prepare

ROOT = Path(__file__).parents[2]
COMMENT = '{"id": "1", "text": "Hi", "segments": [{"L1": "a", "L2": "b"}]}\n'
QUESTION = {"subject": "logic", "question": "Why?", "choices": ["a", "b", "c", "d"], "answer": 0}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run_prepare(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["prepare", kind])
    prepare.main()


def read_error(kind: str, monkeypatch: pytest.MonkeyPatch) -> str:
    with pytest.raises(InputError) as caught:
        run_prepare(kind, monkeypatch)
    assert not Path("data/prepared", kind).exists(), "a failed command writes no output"
    return str(caught.value)


def test_the_bytes_of_the_demo_have_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("params.yaml").write_text("data: {}\n")
    Path("data").mkdir()
    for name in ("demo", "chat"):
        Path("data", name).symlink_to(ROOT / "data" / name)
    hashes = {}
    for kind in ("comments", "general", "benchmark", "instructions", "chat"):
        run_prepare(kind, monkeypatch)
        hashes |= {file.name: hash_path(file)[:8] for file in sorted(Path("data/prepared", kind).iterdir())}
    assert hashes == {
        "comments.jsonl": "e7f16fcb",
        "taxonomy.csv": "26b6bf46",
        "general.jsonl": "ac63b5e2",
        "dev.jsonl": "9012e8db",
        "test.jsonl": "5513ab6b",
        "ifeval.jsonl": "7cd19f1f",
        "prompts.jsonl": "5be7dc8c",
    }


def test_a_folder_of_canonical_files_needs_no_source_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("params.yaml").write_text("data: {comments: mine, benchmark: mine, instructions: mine, chat: mine}\n")
    prompt = {"key": 1, "prompt": "Hi", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    chat = {"id": "a", "category": "fact", "messages": [{"role": "user", "content": "Hi"}]}
    folder = write_source({"comments.jsonl": COMMENT, "taxonomy.csv": "L1,L2\na,b\na,c\n"})
    write_jsonl(folder / "ifeval.jsonl", [prompt])
    write_jsonl(folder / "prompts.jsonl", [chat])
    for split in ("test", "dev"):
        write_jsonl(folder / f"benchmark/{split}.jsonl", [QUESTION])
    for kind, file in (("comments", "comments.jsonl"), ("instructions", "ifeval.jsonl"), ("chat", "prompts.jsonl")):
        run_prepare(kind, monkeypatch)
        assert Path("data/prepared", kind, file).read_bytes() == (folder / file).read_bytes()
    run_prepare("benchmark", monkeypatch)
    assert Path("data/prepared/comments/taxonomy.csv").read_text() == "L1,L2\na,b\na,c\n"
    assert Path("data/prepared/benchmark/dev.jsonl").is_file()


def test_without_taxonomy_csv_the_taxonomy_is_made_from_the_labels() -> None:
    prepared = prepare_folder(write_source({"comments.jsonl": COMMENT}, {"format": "jsonl", "file": "comments.jsonl"}))
    assert prepared.leaves == [("a", "b")]


def test_canonical_comments_in_several_files_keep_their_lines() -> None:
    folder = write_source({"raw/a.jsonl": COMMENT + "\n" + COMMENT[:-1], "raw/b.jsonl": COMMENT}, {"format": "jsonl"})
    assert len(prepare_folder(folder).rows) == 3
    lines = Path("data/prepared/comments/comments.jsonl").read_text().splitlines()
    assert lines == [COMMENT.strip(), "", COMMENT.strip(), COMMENT.strip()]


def test_one_folder_may_hold_several_kinds() -> None:
    source = {
        "comments": {"format": "csv", "file": "a.csv", "columns": {"text": "t", "levels": ["l"]}},
        "general": {"format": "alpaca", "file": "b.json"},
    }
    folder = write_source({"a.csv": "t,l\nHi,a\n", "b.json": '[{"instruction": "Why?", "output": "So."}]'}, source)
    assert len(prepare_folder(folder).rows) == len(prepare_folder(folder, "general").rows) == 1
    with pytest.raises(InputError, match=r"^data/mine/source\.yaml: .*comments, general.*chat"):
        prepare_folder(folder, "chat")


def test_a_missing_folder_is_named_with_the_existing_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("params.yaml").write_text("data: {comments: mine}\n")
    write_source({}, {"format": "csv"}, "yours")
    assert re.match(r"data/mine: no such folder; .*data\.comments.*yours", read_error("comments", monkeypatch))
    Path("data/mine").touch()
    assert read_error("comments", monkeypatch).startswith("data/mine: ")


SOURCES = {
    "not YAML": ("format: [", r"source\.yaml:1: .*YAML"),
    "not UTF-8": (b"format: \xff", r"source\.yaml: .*UTF-8"),
    "empty": ("", r"source\.yaml: expected"),
    "an unknown key": ("format: csv\nfiel: a", r"source\.yaml: fiel: .*\bfile\b"),
    "an unknown format": ("format: excel", r"source\.yaml: format: .*jsonl, csv, xlsx"),
    "an unknown column": ("format: csv\ncolumns: {txt: a}", r"source\.yaml: columns\.txt: "),
    "a number as a column": ("format: csv\ncolumns: {text: 3}", r"source\.yaml: columns\.text: .*\b3\b"),
    "a format of another kind": ("format: mmlu", r"source\.yaml: .*\bmmlu\b.*comments"),
    "a file that is missing": ("format: csv\nfile: b.csv\ncolumns: {text: t}", r"source\.yaml: file: .*b\.csv"),
    "a file elsewhere": ("format: csv\nfile: ../b.csv\ncolumns: {text: t}", r"source\.yaml: file: .*\.\./b\.csv"),
    "a separator": ("format: csv\nseparator: '~'", r"source\.yaml: separator: .*'~'"),
    "an encoding": ("format: csv\nencoding: nope\ncolumns: {text: t, levels: [l]}", r"a\.csv: .*'nope'"),
    "raw files that are missing": ("format: cfpb", r"raw: no such folder"),
}


@pytest.mark.parametrize(("text", "expected"), SOURCES.values(), ids=SOURCES)
def test_an_error_in_source_yaml_is_a_one_line_error_with_its_key(
    text: str | bytes, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("params.yaml").write_text("data: {comments: mine}\n")
    write_source({"a.csv": "t,l\nHi,a\n", "source.yaml": text})
    line = read_error("comments", monkeypatch)
    assert re.match(f"data/mine/{expected}", line)
    assert "\n" not in line


def test_a_folder_without_a_file_of_the_format_lists_its_files() -> None:
    folder = write_source({"a.txt": "x", "sub/b": "y"}, {"format": "xlsx", "columns": {"text": "t", "levels": ["l"]}})
    with pytest.raises(InputError, match=r"^data/mine: .*\.xlsx.*a\.txt, source\.yaml, sub/"):
        prepare_folder(folder)


def test_several_files_of_the_format_are_named_in_the_error() -> None:
    folder = write_source({"a.csv": "", "b.csv": ""}, {"format": "csv", "columns": {"text": "t", "levels": ["l"]}})
    with pytest.raises(InputError, match=r"^data/mine/source\.yaml: file: .*a\.csv, b\.csv$"):
        prepare_folder(folder)


def test_a_kind_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"comments, general, benchmark, instructions, chat.*'reviews'"):
        run_prepare("reviews", monkeypatch)


def test_a_bad_benchmark_is_named_in_the_users_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("params.yaml").write_text("data: {benchmark: mine, instructions: mine}\n")
    folder = write_source({"ifeval.jsonl": json.dumps({"key": "a"}) + "\n"})
    assert re.match(r"data/mine/benchmark: no such folder", read_error("benchmark", monkeypatch))
    write_jsonl(folder / "benchmark/test.jsonl", [{**QUESTION, "answer": 7}])
    assert read_error("benchmark", monkeypatch).startswith("data/mine/benchmark/test.jsonl:1: `answer`")
    assert read_error("instructions", monkeypatch).startswith("data/mine/ifeval.jsonl:1: `key`")
