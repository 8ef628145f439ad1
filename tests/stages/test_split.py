"""The split is stable, keeps near-duplicates together, has the requested share, and refuses bad rows."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alloy.core.files import InputError, number_lines, read_json, read_jsonl
from alloy.core.text import fold_text
from alloy.formats.origin import write_origin
from alloy.formats.taxonomy import Taxonomy
from alloy.runtime.parallel import BLOCK_ROWS
from alloy.splitting.assignment import LEFT_OUT, TEST, TRAIN
from alloy.splitting.near_duplicates import are_near_duplicates
from alloy.splitting.validate import CheckedComments, check_block, join_blocks
from benchmarks.planted_overlap import DISGUISES, disguise_texts
from shared_data import read_shared_rows
from stages.split import divide_comments, main

REPOSITORY = Path(__file__).parents[2]
GOLDEN = Path(__file__).parents[1] / "golden" / "split.json"
TAXONOMIES = {
    1: ("L1,description\nPraise,Good words\nProblem,\n", {"L1": "Praise"}),
    2: ("L1,L2,description\nSetup,Pairing,\nSetup,Easy setup,\n", {"L1": "Setup", "L2": "Pairing"}),
    3: ("L1,L2,L3,description\nSetup,Pairing,Bluetooth,\n", {"L1": "Setup", "L2": "Pairing", "L3": "Bluetooth"}),
}
PAIRING = TAXONOMIES[2][1]
TAXONOMY = Taxonomy(("L1", "L2"), {("Setup", "Pairing"): "", ("Setup", "Easy setup"): ""})
OUTPUTS = {
    "train.jsonl",
    "test.jsonl",
    "taxonomy.json",
    "task.json",
    "rejects.json",
    "near_duplicates.json",
    "contradictions.json",
}


def make_row(identity: str, text: str = "", **more: Any) -> dict[str, Any]:
    return {"id": identity, "text": text or f"It does not pair, says {identity}.", "segments": [PAIRING], **more}


def make_comments(texts: list[str], **more: Any) -> list[dict[str, Any]]:
    return [make_row(f"c{number}", text, **more) for number, text in enumerate(texts)]


def check_rows(folder: Path, rows: list[dict[str, Any]]) -> CheckedComments:
    path = folder / "comments.jsonl"
    path.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    return join_blocks(path, [check_block(path, TAXONOMY, list(number_lines(path)))])


def divide_rows(
    folder: Path, rows: list[dict[str, Any]], share: float = 0.2, near: float = 0.8
) -> dict[int, list[str]]:
    """Return the ids of the comments in each subset, in order."""
    survey = check_rows(folder, rows)
    subsets, _ = divide_comments(survey, share, near)
    return {
        subset: [survey.read_id(index) for index, row_subset in enumerate(subsets) if row_subset == subset]
        for subset in (TRAIN, TEST, LEFT_OUT)
    }


def make_many_texts(count: int) -> list[str]:
    rng = random.Random(0)
    words = ["the", "lamp", "lock", "app", "door", "light", "stops", "works", "never", "again", "since", "update"]
    return [f"{' '.join(rng.choices(words, k=6))} {number}" for number in range(count)]


def make_long_texts(count: int) -> list[str]:
    """Return texts that are not similar to each other; with one word changed, each is a near-duplicate of itself."""
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(3, 9))) for _ in range(2000)]
    return [" ".join(rng.choices(words, k=40)) for _ in range(count)]


def write_project(
    folder: Path, rows: list[Any], taxonomy: str = TAXONOMIES[2][0], on_bad_row: str = "stop", share: float = 0.5
) -> None:
    """Write params.yaml and data/prepared/comments, the inputs of `split`; rows given as bytes are written unchanged.

    Generated texts of a few words are similar by chance, so only exact copies stay together project.
    """
    (folder / "params.yaml").write_text(
        f"split: {{test: {share}, near_duplicate_threshold: 1, on_bad_row: {on_bad_row}}}\n", encoding="utf-8"
    )
    (folder / "data" / "prepared" / "comments").mkdir(parents=True)
    lines = [line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode() for line in rows]
    (folder / "data" / "prepared" / "comments" / "comments.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    (folder / "data" / "prepared" / "comments" / "taxonomy.csv").write_text(taxonomy, encoding="utf-8")


GOOD = [make_row(f"g{number}") for number in range(8)]


def read_errors(folder: Path) -> list[str]:
    """Run `split`, which must fail and write nothing; return its lines."""
    with pytest.raises(InputError) as caught:
        main()
    assert sorted(path.name for path in (folder / "data").iterdir()) == ["prepared"], "an error leaves nothing behind"
    return str(caught.value).splitlines()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("near", [0.8, 1.0])
def test_a_comment_never_moves_when_others_are_added(tmp_path: Path, near: float) -> None:
    rows = make_comments(make_many_texts(400))
    few, many = divide_rows(tmp_path, rows[:100], near=near), divide_rows(tmp_path, rows, near=near)
    assert len(few[TRAIN]) + len(few[TEST]) > 90
    for subset in (TRAIN, TEST):
        assert set(few[subset]) <= set(many[subset])


def test_the_set_of_a_comment_does_not_depend_on_its_position_in_the_file(tmp_path: Path) -> None:
    rows = make_comments(make_long_texts(100))
    assert set(divide_rows(tmp_path, rows, 0.3)[TEST]) == set(divide_rows(tmp_path, rows[::-1], 0.3)[TEST])


def test_each_set_keeps_the_order_of_the_file(tmp_path: Path) -> None:
    for ids in divide_rows(tmp_path, make_comments(make_many_texts(100)), 0.5).values():
        numbers = [int(identity[1:]) for identity in ids]
        assert numbers == sorted(numbers)


def test_a_larger_test_set_holds_the_smaller_one(tmp_path: Path) -> None:
    rows = make_comments(make_long_texts(300))
    small, large = (set(divide_rows(tmp_path, rows, share)[TEST]) for share in (0.1, 0.3))
    assert small < large


@pytest.mark.parametrize("near", [0.8, 1.0])
def test_copies_of_a_text_are_in_the_same_set(tmp_path: Path, near: float) -> None:
    texts = make_long_texts(200)
    copies = [*texts, *(text.upper() for text in texts), *(f" {text.replace(' ', '  ')}\n" for text in texts)]
    found = divide_rows(tmp_path, make_comments(copies), 0.5, near)
    assert not found[LEFT_OUT]
    for subset in (TRAIN, TEST):
        numbers = Counter(int(identity[1:]) % 200 for identity in found[subset])
        assert set(numbers.values()) == {3}


def test_copies_with_differently_encoded_accents_are_in_the_same_set(tmp_path: Path) -> None:
    composed = [f"caf\u00e9 {text}" for text in make_long_texts(50)]
    decomposed = [text.replace("\u00e9", "e\u0301") for text in composed]
    subsets = [divide_rows(tmp_path, make_comments(texts), 0.5)[TEST] for texts in (composed, decomposed)]
    assert subsets[0] == subsets[1]


def test_near_duplicates_are_in_the_same_set(tmp_path: Path) -> None:
    texts = make_long_texts(100)
    rng = random.Random(2)
    changed = [DISGUISES["a word changed"](text, rng) for text in texts]
    found = divide_rows(tmp_path, make_comments([*texts, *changed]), 0.5)
    assert not found[LEFT_OUT]
    for subset in (TRAIN, TEST):
        assert set(Counter(int(identity[1:]) % 100 for identity in found[subset]).values()) == {2}
    apart = divide_rows(tmp_path, make_comments([*texts, *changed]), 0.5, near=1.0)
    assert 1 in Counter(int(identity[1:]) % 100 for identity in apart[TEST]).values()


def test_a_similarity_of_1_keeps_only_copies_together(tmp_path: Path) -> None:
    laughs = make_comments(["ha" * number for number in range(5, 45)])  # all of the same two windows
    assert sorted(map(len, divide_rows(tmp_path, laughs, 0.5, near=0.99).values())) == [0, 0, 40]
    assert min(len(divide_rows(tmp_path, laughs, 0.5, near=1.0)[subset]) for subset in (TRAIN, TEST)) > 10


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.8])
def test_the_share_of_test_is_close_to_the_requested_one(tmp_path: Path, share: float) -> None:
    found = divide_rows(tmp_path, make_comments(make_long_texts(2000)), share)
    assert abs(len(found[TEST]) / 2000 - share) < 0.035  # three standard deviations


@pytest.mark.parametrize(("given", "share", "subset"), [("test", 0.0, TEST), ("train", 1.0, TRAIN)])
def test_a_given_split_takes_precedence_over_the_hash(tmp_path: Path, given: str, share: float, subset: int) -> None:
    assert len(divide_rows(tmp_path, make_comments(make_long_texts(50), split=given), share)[subset]) == 50


def test_a_given_split_moves_no_other_comment(tmp_path: Path) -> None:
    texts = make_long_texts(60)
    free = make_comments(texts)
    mixed = [*make_comments(texts[:30], split="train"), *free[30:]]
    assert divide_rows(tmp_path, mixed, 0.4)[TEST] == divide_rows(tmp_path, free[30:], 0.4)[TEST]


def test_a_rare_leaf_moves_no_comment(tmp_path: Path) -> None:
    rows = make_comments(make_long_texts(60))
    rare = [{**rows[0], "segments": [{"L1": "Setup", "L2": "Easy setup"}]}, *rows[1:]]
    assert divide_rows(tmp_path, rare, 0.4) == divide_rows(tmp_path, rows, 0.4)


@pytest.mark.parametrize("copies_first", [True, False])
def test_a_comment_given_as_train_is_left_out_if_a_copy_is_in_test(tmp_path: Path, copies_first: bool) -> None:
    texts = make_long_texts(80)
    test = [make_row(f"t{number}", text, split="test") for number, text in enumerate(texts[:40])]
    train = [make_row(f"r{number}", text, split="train") for number, text in enumerate(texts[40:])]
    planted = [make_row(f"p{n}", text, split="train") for n, (_, text) in enumerate(disguise_texts(texts[:40]))]
    found = divide_rows(tmp_path, [*planted, *train, *test] if copies_first else [*test, *train, *planted])
    assert (len(found[TEST]), len(found[TRAIN])) == (40, 40)
    assert set(found[LEFT_OUT]) == {row["id"] for row in planted}


@pytest.mark.parametrize("text", ["\u9375", "\U0001f44d", "a", ".", "\u0e01 \u0e02"])
def test_a_text_of_one_letter_is_split_like_any_other(tmp_path: Path, text: str) -> None:
    found = divide_rows(tmp_path, make_comments([text, f" {text} ", *make_long_texts(20)]), 0.5)
    assert sum(map(len, found.values())) == 22
    assert any({"c0", "c1"} <= set(found[subset]) for subset in (TRAIN, TEST))


def test_the_split_of_generated_texts_has_not_changed(tmp_path: Path) -> None:
    found = divide_rows(tmp_path, make_comments(make_many_texts(60)), 0.25, near=1.0)
    assert found[TEST] == json.loads(GOLDEN.read_text(encoding="utf-8"))


@pytest.mark.parametrize("depth", TAXONOMIES)
def test_a_taxonomy_of_any_depth_is_split(project: Path, depth: int) -> None:
    taxonomy, labels = TAXONOMIES[depth]
    rows = [{**make_row(f"c{number}"), "segments": [labels]} for number in range(20)]
    write_project(project, rows, taxonomy)
    main()
    written = [*read_jsonl("data/split/train.jsonl"), *read_jsonl("data/split/test.jsonl")]
    assert sorted(written, key=lambda row: int(row["id"][1:])) == rows
    assert read_json("data/split/task.json")["levels"] == list(labels)
    assert Taxonomy.from_rows(read_json("data/split/taxonomy.json")).levels == tuple(labels)
    assert read_json("data/split/rejects.json") == []


def test_comments_per_set_are_counted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    easy = [{"L1": "Setup", "L2": "Easy setup", "content": "not there"}]
    rows = [
        make_row("a", "Pairing works.", split="train"),
        make_row("b", "Setup was easy.", split="test", segments=easy),
        make_row("c", "setup  was easy.", split="test"),
        make_row("d", "SETUP WAS EASY.", split="train"),
        make_row("e", "Works", split="train", segments=[{**PAIRING, "content": "WORKS"}]),
    ]
    write_project(project, rows)
    main()
    assert read_json("metrics/split.json") == {
        "split": {
            "train": 2,
            "test": 2,
            "rejected": 0,
            "left_out": 1,
            "contradictory_texts": 1,
            "contradictory_comments": 3,
            "copies": 2,
            "unquoted": 1,
            "leaves_in_train": 1,
            "leaves_in_test": 2,
            "leaves_in_test_alone": 1,
        }
    }
    assert read_json("data/split/near_duplicates.json") == [{"id": "d", "like": "c"}]
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("split: ") for line in lines)
    assert [re.findall(r"\b\d+\b", line) for line in lines] == [
        ["2", "2", "0", "1", "1", "2"],  # train, test, rejected, left out, leaves only in test, leaves
        ["1"],  # comments with a segment whose content is not in their text
        ["1", "3"],  # texts with different labels, and their copies
    ]
    assert "(ids b, c)" in lines[2] and "data/split/contradictions.json" in lines[2]
    assert read_json("data/split/contradictions.json") == [
        {
            "text": "Setup was easy.",
            "comments": 3,
            "labels": [
                {"labels": ["Setup > Easy setup"], "ids": ["b"]},
                {"labels": ["Setup > Pairing"], "ids": ["c", "d"]},
            ],
        }
    ]


CASES = {  # folders of shared/cases that are about comments: words in what `split` prints about them
    "taxonomy-nfd": [],
    "emotions": ["'ANGER'", " 3"],
    "conflicting-copies": [" 1 ", " 30 ", "c0, c1, c2, c3"],
    "unknown-keys": ["data/prepared/comments/comments.jsonl: ", "`Split`", " 60 ", "`split`"],
    "null-fields": [],
    "semicolon-csv": [],
}


def write_case(folder: Path, name: str) -> None:
    """Write the files of a case; one with only a taxonomy gets the comments of a case with the same labels."""
    case = REPOSITORY.parent / "shared" / "cases" / name
    comments = case / "comments.jsonl"
    if not comments.is_file():
        comments = case.parent / "null-fields" / "comments.jsonl"
    if not comments.is_file():
        pytest.skip("shared/cases is not here")
    write_project(folder, comments.read_bytes().splitlines(), (case / "taxonomy.csv").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CASES)
def test_cases_that_look_the_same_are_split_in_the_same_way(
    project: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    write_case(project, name)
    main()
    output = capsys.readouterr().out
    assert read_json("metrics/split.json")["split"]["rejected"] == 0
    assert len(output.splitlines()) == 1 or CASES[name]
    for expected in CASES[name]:
        assert expected in output


def test_labels_of_comments_take_the_spelling_of_the_taxonomy(project: Path) -> None:
    spellings = ["Caf\u00e9 au lait", "Cafe\u0301 au lait", "\u00a0Caf\u00e9  au\u200b lait", "Caf\u00e9 au\nlait"]
    rows = [
        {**make_row(f"c{n}"), "segments": [{"L1": spellings[n % 4], "emotion": f" joy\u00ad{' ' * n}"}]}
        for n in range(12)
    ]
    write_project(project, rows, "L1\nCafe\u0301 au\u3000lait\n")
    main()
    written = [*read_jsonl("data/split/train.jsonl"), *read_jsonl("data/split/test.jsonl")]
    assert {segment["L1"] for row in written for segment in row["segments"]} == {"Caf\u00e9 au lait"}
    assert read_json("data/split/taxonomy.json") == [{"L1": "Caf\u00e9 au lait", "description": ""}]
    assert read_json("data/split/task.json")["emotions"] == ["joy"]


def test_the_same_input_gives_the_same_bytes(project: Path) -> None:
    write_project(project, GOOD)
    main()
    first = {path.name: path.read_bytes() for path in Path("data/split").iterdir()}
    main()
    assert {path.name: path.read_bytes() for path in Path("data/split").iterdir()} == first
    assert set(first) == OUTPUTS


BAD = {
    "malformed JSON": (b'{"id": "x", ', ["JSON", "column"]),
    "no object": (b"[]", ["JSON object", "array"]),
    "not UTF-8": (b'{"id": "x", "text": "caf\xe9"}', ["byte 25", "UTF-8"]),
    "missing text": (make_row("x") | {"text": None}, ["'x'", "`text`"]),
    "unknown label": (
        make_row("x", segments=[{"L1": "Setup", "L2": "Easy"}]),
        ["'Setup > Easy'", "'Setup > Easy setup'"],
    ),
    "duplicate id": (make_row("g0"), ["'g0'", "line 1"]),
    "wrong depth": (make_row("x", segments=[{"L1": "Setup"}]), [" L1", "expected L1,L2 "]),
}


def names_all(text: str, words: list[str]) -> bool:
    """Return whether a text has all words."""
    return all(word in text for word in words)


@pytest.mark.parametrize(("line", "expected"), BAD.values(), ids=BAD)
def test_a_bad_row_stops_the_split_with_its_line_and_the_fix(project: Path, line: Any, expected: list[str]) -> None:
    write_project(project, [*GOOD, line])
    named, fix = read_errors(project)
    assert named.startswith("data/prepared/comments/comments.jsonl:9: ")
    assert names_all(named, expected)
    assert "split.on_bad_row: reject" in fix


@pytest.mark.parametrize(("line", "expected"), BAD.values(), ids=BAD)
def test_a_rejected_row_is_listed_and_the_others_are_split(project: Path, line: Any, expected: list[str]) -> None:
    write_project(project, [*GOOD[:4], line, *GOOD[4:]], on_bad_row="reject")
    main()
    (reject,) = read_json("data/split/rejects.json")
    assert (reject["file"], reject["line"]) == ("data/prepared/comments/comments.jsonl", 5)
    assert names_all(reject["reason"], expected)
    written = [*read_jsonl("data/split/train.jsonl"), *read_jsonl("data/split/test.jsonl")]
    assert sorted(row["id"] for row in written) == [good["id"] for good in GOOD]


def test_all_errors_of_a_file_are_named_at_once(project: Path) -> None:
    write_project(project, [*GOOD, *(line for line, _ in BAD.values())])
    lines = read_errors(project)
    assert [line.split(": ")[0] for line in lines[:-1]] == [
        f"data/prepared/comments/comments.jsonl:{n}" for n in range(9, 16)
    ]


@pytest.mark.parametrize(("count", "last_line"), [(9, None), (10, "and 2 more errors"), (65, "and 57 more errors")])
def test_many_errors_are_cut_with_a_count(project: Path, count: int, last_line: str | None) -> None:
    write_project(project, [*GOOD, *([b"{"] * count)])
    *named, fix = read_errors(project)
    shown = 8 if last_line else 9
    assert len([line for line in named if line.startswith("data/prepared/comments/comments.jsonl:")]) == shown
    assert named[shown:] == ([last_line] if last_line else [])
    assert "split.on_bad_row" in fix


def test_all_rejects_are_listed_even_if_there_are_many(project: Path) -> None:
    write_project(project, [*GOOD, *([b"{"] * 65)], on_bad_row="reject")
    main()
    assert [reject["line"] for reject in read_json("data/split/rejects.json")] == list(range(9, 74))


BROKEN = {
    "a repeated path": ("L1,L2\nSetup,Pairing\nSetup,Pairing\n", "taxonomy.csv:3: ", ["'Setup > Pairing'"]),
    "no CSV": ('L1,L2\nSetup,"Pairing\n', "taxonomy.csv:2: ", ["CSV"]),
    "a wrong header": ("theme,topic\nSetup,Pairing\n", "taxonomy.csv:1: ", ["L1,L2"]),
    "a missing cell": ("L1,L2\nSetup\n", "taxonomy.csv:2: ", ["2 cells", "1"]),
    "an empty cell": ("L1,L2\nSetup,\n", "taxonomy.csv:2: ", ["L2", "(none)"]),
    "an empty file": ("", "taxonomy.csv:1: ", ["L1,L2"]),
}


@pytest.mark.parametrize("on_bad_row", ["stop", "reject"])
@pytest.mark.parametrize(("taxonomy", "location", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_broken_taxonomy_always_stops_the_split(
    project: Path, taxonomy: str, location: str, expected: list[str], on_bad_row: str
) -> None:
    write_project(project, GOOD, taxonomy, on_bad_row)
    (line,) = read_errors(project)
    assert line.startswith(f"data/prepared/comments/{location}")
    assert names_all(line, expected)


@pytest.mark.parametrize("on_bad_row", ["stop", "reject"])
def test_an_empty_file_of_comments_is_named_in_the_error(project: Path, on_bad_row: str) -> None:
    write_project(project, [], on_bad_row=on_bad_row)
    (line,) = read_errors(project)
    assert line.startswith("data/prepared/comments/comments.jsonl: ")
    assert "empty" in line


def test_a_missing_taxonomy_is_an_error_of_one_line(project: Path) -> None:
    write_project(project, GOOD)
    Path("data/prepared/comments/taxonomy.csv").unlink()
    (line,) = read_errors(project)
    assert line.startswith("data/prepared/comments/taxonomy.csv: no such file")


def test_a_bad_row_is_named_by_its_original_file_and_line(project: Path) -> None:
    write_project(project, [*GOOD, make_row("x", segments=[]), make_row("y", segments=[])])
    folder = Path("data/prepared/comments")
    write_origin(folder, {"data/mine/a.csv": 9, "data/mine/b.csv": 1}, np.array([*range(2, 20, 2), 5]))
    first, second, _ = read_errors(project)
    assert first.startswith("data/mine/a.csv:18: comment 'x': `segments`")
    assert second.startswith("data/mine/b.csv:5: comment 'y': `segments`")
    (folder / "lines.npy").unlink()
    assert [line.split(": ")[0] for line in read_errors(project)[:2]] == ["data/mine/a.csv:9", "data/mine/b.csv:1"]


@pytest.mark.parametrize(("share", "subsets"), [(0, "8 train and 0 test"), (1, "0 train and 8 test")])
def test_an_empty_training_or_test_set_is_refused(project: Path, share: float, subsets: str) -> None:
    write_project(project, GOOD, share=share)
    (line,) = read_errors(project)
    assert line.startswith("data/prepared/comments/comments.jsonl: ")
    assert names_all(line, [subsets, "split.test"])


def test_a_file_with_only_rejects_names_them(project: Path) -> None:
    write_project(project, [b"{", b"{"], on_bad_row="reject")
    assert any("comments.jsonl:1: " in line and "JSON" in line for line in read_errors(project))


def start_split(folder: Path) -> subprocess.Popen[str]:
    """Start the stage as DVC does."""
    return subprocess.Popen(
        [sys.executable, "-m", "stages.split"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_failed_stage_exits_with_status_1_and_no_traceback(project: Path) -> None:
    write_project(project, [*GOOD, b"{"])
    stage = start_split(project)
    output, errors = stage.communicate()
    assert (stage.returncode, output) == (1, "")
    lines = errors.splitlines()
    assert lines[0].startswith("split: data/prepared/comments/comments.jsonl:9: ")
    assert lines[1].startswith("split: ") and "split.on_bad_row: reject" in lines[1]
    assert len(lines) == 2


@pytest.mark.slow
def test_the_stage_prints_one_line_also_with_several_processes(project: Path) -> None:
    rows = [make_row(f"c{number}") for number in range(2 * BLOCK_ROWS + 5)]
    write_project(project, [*rows, {**make_row("c7"), "text": "Other words"}], on_bad_row="reject")
    stage = start_split(project)
    output, errors = stage.communicate()
    assert (stage.returncode, errors) == (0, "")
    counted = read_json("metrics/split.json")["split"]
    (line,) = output.splitlines()
    assert line.startswith(f"split: {counted['train']} train, {counted['test']} test, 1 rejected, 0 left out")
    assert counted["train"] + counted["test"] == len(rows)
    (reject,) = read_json("data/split/rejects.json")
    assert reject["line"] == 2 * BLOCK_ROWS + 6
    assert names_all(reject["reason"], ["'c7'", "line 8"])
    written = [*read_jsonl("data/split/train.jsonl"), *read_jsonl("data/split/test.jsonl")]
    assert sorted(written, key=lambda row: int(row["id"][1:])) == rows


@pytest.mark.slow
@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_kill_leaves_no_partial_file_and_no_process(project: Path, ended_by: signal.Signals) -> None:
    write_project(project, [make_row(f"c{number}") for number in range(3 * BLOCK_ROWS)])
    stage = start_split(project)
    children = Path(f"/proc/{stage.pid}/task/{stage.pid}/children")
    if not children.parent.is_dir():
        stage.kill()
        pytest.skip("no /proc here: the processes of the stage cannot be seen")
    while stage.poll() is None and len(children.read_text().split()) < 2:
        time.sleep(0.01)
    process_ids = [int(process_id) for process_id in children.read_text().split()]
    stage.send_signal(ended_by)
    stage.communicate()
    assert stage.returncode == {signal.SIGINT: 130}.get(ended_by, -ended_by)
    assert not [
        path for path in Path("data").rglob("*") if path.suffix in (".jsonl", ".json") and "prepared" not in str(path)
    ]
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(is_running(process) for process in process_ids):
        time.sleep(0.05)
    assert not [process for process in process_ids if is_running(process)]


def is_running(process: int) -> bool:
    """Return whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("name", ["cfpb_voc/cfpb_voc", "mams/mams"])
@pytest.mark.parametrize("given", [True, False])
def test_near_duplicates_among_real_comments_are_found_with_hardly_any_false_ones(
    tmp_path: Path, name: str, given: bool
) -> None:
    texts = list(dict.fromkeys(row["text"] for row in read_shared_rows(name, 1500) if len(row["text"].split()) > 1))
    test, train = texts[:200], texts[200:]
    planted = disguise_texts(test)
    rows = [
        *(make_row(f"t{number}", text, split="test") for number, text in enumerate(test)),
        *(make_row(f"r{number}", text, split="train") for number, text in enumerate(train)),
        *(make_row(f"p{n}", text, **({"split": "train"} if given else {})) for n, (_, text) in enumerate(planted)),
    ]
    found = divide_rows(tmp_path, rows, share=0.0)
    hidden = [int(identity[1:]) for identity in found[TRAIN] if identity[0] == "p"]
    assert {planted[index][0] for index in hidden} <= {"a word changed"}
    assert len(hidden) <= 10  # at least 95 % are found
    assert not any(are_near_duplicates(fold_text(test[index]), fold_text(planted[index][1]), 0.8) for index in hidden)
    near = {fold_text(text) for text in test}
    false = [
        identity
        for identity in found[LEFT_OUT]
        if identity[0] == "r"
        and not any(are_near_duplicates(fold_text(train[int(identity[1:])]), text, 0.8) for text in near)
    ]
    assert len(false) <= 0.01 * len(train)
