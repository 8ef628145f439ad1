"""General examples that share text with a test are dropped and listed; all others stay unchanged."""

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from alloy.core.files import InputError, read_json, read_jsonl, write_json, write_jsonl
from alloy.core.text import split_words
from alloy.runtime.parallel import BLOCK_ROWS
from benchmarks.planted_overlap import disguise_texts
from shared_data import read_shared_rows
from stages.decontaminate import main
from tiny_model import make_tokenizer

REPOSITORY = Path(__file__).parents[2]
PLANETS = "Which of the planets of our sun has the largest number of known moons around it?"
LETTER = "Write a letter to my landlord and leave out every comma."
COMMENT = "The lamp in the hall does not pair with my phone since the last update."
CHOICE = "It is the one that was seen first by Galileo in the winter of the year 1610 from Padua"


def make_example(identity: str, user: str, answer: str = "I cannot tell.", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]
    return {"id": identity, "category": "chat", "source": "made", "lang": "en", "messages": messages, **more}


def make_question(text: str, choices: list[str] | None = None) -> dict[str, Any]:
    return {"subject": "astronomy", "question": text, "choices": choices or ["a", "b", "c", "d"], "answer": 0}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("data: {}\n")
    make_tokenizer().save_pretrained("models/base")
    write_json("models/base/config.json", {"model_type": "qwen3"})
    lay_tests(
        [make_question(PLANETS, ["Mars", CHOICE, "Venus", "Saturn"]), make_question("Why?")],
        [{"key": 9, "prompt": LETTER}],
    )
    return tmp_path


def lay_tests(test: list[dict[str, Any]], prompts: list[dict[str, Any]]) -> None:
    write_jsonl("data/prepared/benchmark/test.jsonl", test)
    dev = {row["subject"]: {**make_question("What is seen in a mirror by those who look"), **row} for row in test}
    write_jsonl(
        "data/prepared/benchmark/dev.jsonl", [{**row, "question": "Only shown before."} for row in dev.values()]
    )
    write_jsonl("data/prepared/instructions/ifeval.jsonl", prompts)
    write_jsonl("data/split/test.jsonl", [{"id": "c1", "text": COMMENT, "segments": []}])


def write_inputs(*rows: Any) -> None:
    lines = [row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows]
    path = Path("data/prepared/general/general.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def run_and_read(*rows: Any) -> tuple[list[str], dict[str, tuple[str, str]]]:
    """Return the ids that are left, and for each dropped id the reason and the test that it overlaps with."""
    write_inputs(*rows)
    main()
    dropped = (
        read_jsonl("data/decontaminate/dropped.jsonl")
        if Path("data/decontaminate/dropped.jsonl").stat().st_size
        else []
    )
    kept = Path("data/decontaminate/general.jsonl").read_bytes().splitlines()
    return [json.loads(line)["id"] for line in kept], {row["id"]: (row["why"], row["test"]) for row in dropped}


SHARED = {
    "a question": (PLANETS, "13 words in a row", "astronomy/0"),
    "a part of a question": (" ".join(PLANETS.split()[:13]) + " comets?", "13 words in a row", "astronomy/0"),
    "a choice": (f"Tell me: {CHOICE}.", "13 words in a row", "astronomy/0, choice 1"),
    "a prompt": (LETTER.upper(), "a whole question", "ifeval 9"),
    "a prompt with a word changed": (
        LETTER.replace("comma", "dash"),
        "a question with a word changed",
        "ifeval 9",
    ),
    "a comment of test": (COMMENT.lower(), "13 words in a row", "comment c1"),
}


@pytest.mark.parametrize(("text", "reason", "test"), SHARED.values(), ids=SHARED)
@pytest.mark.parametrize("turn", [0, 1])
def test_an_example_that_shares_text_with_a_test_is_dropped(
    project: Path, text: str, reason: str, test: str, turn: int
) -> None:
    leak = make_example("leak", text) if turn == 0 else make_example("leak", "What do you say?", text)
    assert run_and_read(make_example("good", "What is a moon?"), leak) == (["good"], {"leak": (reason, test)})


CLEAN = {
    "twelve words": " ".join(PLANETS.split()[:12]) + " comets, and which has the fewest of all?",
    "one word": "Why?",
    "a short choice": "Mars",
    "a question that is only shown before": "Only shown before.",
    "nothing": "...",
}


@pytest.mark.parametrize("text", CLEAN.values(), ids=CLEAN)
def test_an_example_with_little_overlap_is_kept(project: Path, text: str) -> None:
    assert run_and_read(make_example("a", text), make_example("leak", LETTER))[0] == ["a"]


def test_a_dropped_example_names_the_shared_text(project: Path) -> None:
    run_and_read(make_example("a", "What is a moon?"), make_example("leak", f"So: {PLANETS}", source="web"))
    shared = "which of the planets of our sun has the largest number of known"
    assert read_jsonl("data/decontaminate/dropped.jsonl") == [
        {"id": "leak", "source": "web", "why": "13 words in a row", "test": "astronomy/0", "shared": shared}
    ]


def test_an_example_with_overlap_in_several_messages_is_listed_once(project: Path) -> None:
    assert run_and_read(make_example("good", "Hi"), make_example("leak", LETTER, PLANETS))[1] == {
        "leak": ("a whole question", "ifeval 9")
    }
    assert len(read_jsonl("data/decontaminate/dropped.jsonl")) == 1


def test_kept_rows_are_byte_for_byte_unchanged(project: Path) -> None:
    odd = b'{"messages": [{"role":"user", "content":"\\u00dcber\\n?"},{"content": "x", "role":"assistant"}],  '
    odd += b'"lang":null, "id":"odd","source" : "s","category":"c", "more": [1.50, {"a": 1}]}'
    write_inputs(odd, make_example("leak", LETTER), make_example("last", "鍵は?"))
    main()
    first, last = Path("data/decontaminate/general.jsonl").read_bytes().splitlines()
    assert first == odd
    assert json.loads(last) == make_example("last", "鍵は?")


def test_line_ends_blank_lines_and_a_byte_order_mark_are_not_part_of_an_example(project: Path) -> None:
    rows = [json.dumps(make_example(identity, "Hi")).encode() for identity in "ab"]
    write_inputs(b"\xef\xbb\xbf" + rows[0] + b"\r", b"\r", rows[1] + b"  \r")
    main()
    assert Path("data/decontaminate/general.jsonl").read_bytes() == b"\n".join(rows) + b"\n"


def test_dropped_examples_are_counted_by_reason_and_source(project: Path) -> None:
    run_and_read(
        make_example("a", "Hi"),
        make_example("b", LETTER, source="web"),
        make_example("c", PLANETS),
        make_example("d", PLANETS.upper(), source="web"),
    )
    assert read_json("metrics/decontaminate.json") == {
        "decontaminate": {
            "rows": 4,
            "rejected": 0,
            "dropped": 3,
            "held_out": 0,
            "same_prompt": 0,
            "why": {"13 words in a row": 2, "a whole question": 1},
            "source": {"made": 1, "web": 2},
        }
    }


def test_prompts_that_share_a_key_or_have_none_all_count(project: Path) -> None:
    lay_tests([make_question("Why?")], [{"prompt": "Sing a song of it."}, {"prompt": "Dance it for me now."}])
    assert run_and_read(
        make_example("a", "Sing a song of it!"), make_example("b", "Dance it for me now"), make_example("c", "Hi")
    )[0] == ["c"]


def test_params_set_the_overlap_limits(project: Path) -> None:
    with (project / "params.yaml").open("a") as file:
        file.write("decontaminate: {ngram_size: 14, fuzzy_match_min_words: 12}\n")
    rows = [
        make_example("13 words", " ".join(PLANETS.split()[:13])),
        make_example("14 words", " ".join(PLANETS.split()[:14])),
        make_example("10 of 11 words", LETTER.replace("comma", "dash")),
    ]
    assert run_and_read(*rows)[0] == ["13 words", "10 of 11 words"]


BAD = {
    "not JSON": (b'{"id": ', ["JSON", "column"]),
    "no object": (b"[]", ["JSON object", "array"]),
    "not UTF-8": (b'{"id": "\xff"}', ["byte 9", "UTF-8"]),
    "no messages": ({**make_example("x", "Hi"), "messages": []}, ["`messages`", "{role, content}"]),
    "no answer": (make_example("x", "Hi", " "), ["assistant", "empty"]),
    "no id": (make_example("x", "Hi") | {"id": 3}, ["`id`"]),
    "a duplicate id": (make_example("g1", "Hi"), ["'g1'"]),
}


@pytest.mark.parametrize(("bad", "expected"), BAD.values(), ids=BAD)
def test_a_bad_example_is_a_one_line_error_and_nothing_is_written(project: Path, bad: Any, expected: list[str]) -> None:
    write_inputs(make_example("g0", "Hi"), b"", make_example("g1", LETTER), bad)
    with pytest.raises(InputError) as caught:
        main()
    assert str(caught.value).startswith("data/prepared/general/general.jsonl:4: ")
    assert all(word in str(caught.value) for word in expected)
    assert "\n" not in str(caught.value)
    files = [path for folder in ("data/decontaminate", "metrics") for path in Path(folder).rglob("*")]
    assert files == []


TURNS = [make_example("x", "Hi")["messages"][0], make_example("x", "Are you there?")["messages"][0]]
UNRENDERABLE = {
    "two turns of the user": {"messages": [*TURNS, {"role": "assistant", "content": "Yes"}]},
    "reasoning, for which the template has no place": make_example("x", "17+25?", "<think>\nIt is 42.\n</think>\n\n42"),
    "reasoning that does not end": make_example("x", "17+25?", "<think>It is 42."),
    "reasoning in a field": {
        "messages": [TURNS[0], {"role": "assistant", "content": "42", "reasoning_content": "It is 42."}]
    },
    "a tool call": make_example("x", "Rain?", '<tool_call>{"name": "rain", "arguments": {}}</tool_call>'),
}
ALTERNATING = (
    "{% for message in messages %}{% if message['role'] == 'user' and loop.index0 % 2 %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{{ '<|im_start|>' + message['role'] + '\n' "
    "+ message['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def alternating(project: Path) -> None:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = ALTERNATING
    tokenizer.save_pretrained("models/base")


@pytest.mark.parametrize("row", UNRENDERABLE.values(), ids=UNRENDERABLE)
def test_a_row_that_the_template_cannot_render_is_named_by_file_and_line(alternating: None, row: Any) -> None:
    write_inputs(
        make_example("g0", "Hi"), make_example("g1", LETTER), {**make_example("odd", "Hi"), **row, "id": "odd"}
    )
    with pytest.raises(InputError) as caught:
        main()
    assert str(caught.value).startswith("data/prepared/general/general.jsonl:3: ")
    assert "\n" not in str(caught.value)
    assert "general_rows.on_bad_row: reject" in str(caught.value)
    assert not Path("data/decontaminate").exists()


def test_bad_rows_are_left_out_listed_and_counted_with_reject(alternating: None, capsys: Any) -> None:
    with Path("params.yaml").open("a") as file:
        file.write("general_rows: {on_bad_row: reject}\n")
    bad = [{**make_example("x", "Hi"), **row, "id": f"odd{number}"} for number, row in enumerate(UNRENDERABLE.values())]
    bad += [row for row, _ in BAD.values()]
    good = [make_example("g0", "Hi"), make_example("g1", "What?"), make_example("g2", "A <think>?", "5 < 6")]
    kept, dropped = run_and_read(*good[:2], *bad, good[2], make_example("leak", LETTER))
    assert (kept, list(dropped)) == (["g0", "g1", "g2"], ["leak"])
    rejected = read_jsonl("data/decontaminate/rejected.jsonl")
    assert [row["line"] for row in rejected] == list(range(3, 3 + len(bad)))
    assert [row["id"] for row in rejected[: len(UNRENDERABLE)]] == [row["id"] for row in bad[: len(UNRENDERABLE)]]
    report = read_json("metrics/decontaminate.json")["decontaminate"]
    assert (report["rows"], report["rejected"], report["dropped"]) == (4 + len(bad), len(bad), 1)
    assert "data/prepared/general/general.jsonl:3: " in capsys.readouterr().out


def test_bad_rows_that_prepare_left_out_are_listed_and_counted(alternating: None) -> None:
    with Path("params.yaml").open("a") as file:
        file.write("general_rows: {on_bad_row: reject}\n")
    write_inputs(
        make_example("g0", "Hi"), {**make_example("odd", "Hi"), **next(iter(UNRENDERABLE.values())), "id": "odd"}
    )
    before = {"file": "data/mine/a.json", "line": 7, "id": None, "reason": "no `output`"}
    write_jsonl("data/prepared/general/rejected.jsonl", [before])
    main()
    rejected = read_jsonl("data/decontaminate/rejected.jsonl")
    assert rejected[0] == before
    assert [(row["file"], row["line"]) for row in rejected[1:]] == [("data/prepared/general/general.jsonl", 2)]
    report = read_json("metrics/decontaminate.json")["decontaminate"]
    assert (report["rows"], report["rejected"]) == (3, 2)


MISSING = (
    "data/prepared/general/general.jsonl",
    "data/prepared/benchmark/test.jsonl",
    "data/prepared/instructions/ifeval.jsonl",
    "data/split/test.jsonl",
)


@pytest.mark.parametrize("path", MISSING)
def test_a_missing_file_is_a_one_line_error(project: Path, path: str) -> None:
    write_inputs(make_example("a", "Hi"))
    Path(path).unlink()
    with pytest.raises(InputError) as caught:
        main()
    assert str(caught.value).startswith(f"{path}: no such file")


def test_a_prompt_without_text_is_a_one_line_error(project: Path) -> None:
    write_inputs(make_example("a", "Hi"))
    write_jsonl("data/prepared/instructions/ifeval.jsonl", [{"key": 1, "prompt": "Sing."}, {"key": 2}])
    with pytest.raises(InputError, match=r"^data/prepared/instructions/ifeval\.jsonl:2: .*`prompt`"):
        main()


def hold_out_rows(
    rows: list[dict[str, Any]], count: int, **params: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows that may be mixed and those that are held out."""
    settings = {**yaml.safe_load(Path("params.yaml").read_text()), "decontaminate": {"held_out": count}, **params}
    Path("params.yaml").write_text(yaml.safe_dump(settings))
    write_inputs(*rows)
    main()
    mixable, held_out = (Path(f"data/decontaminate/{name}.jsonl").read_bytes() for name in ("general", "heldout"))
    return [json.loads(line) for line in mixable.splitlines()], [
        json.loads(line) for line in held_out.split(b"\n") if line
    ]


def test_held_out_rows_are_in_no_mix_and_unchanged(project: Path) -> None:
    rows = [make_example(f"g{number}", f"What is {number}?", "é") for number in range(60)]
    mixable, held_out = hold_out_rows([*rows, make_example("leak", LETTER)], 5)
    assert len(held_out) == 5
    assert mixable == [row for row in rows if row not in held_out]
    report = read_json("metrics/decontaminate.json")["decontaminate"]
    assert (report["rows"], report["dropped"], report["held_out"], report["same_prompt"]) == (61, 1, 5, 0)


def test_only_its_prompt_decides_whether_a_row_is_held_out(project: Path) -> None:
    rows = [make_example(f"g{number}", f"What is {number}?") for number in range(60)]
    _, held_out = hold_out_rows(rows, 5)
    others = [make_example(f"h{number}", f" what  IS {number}?", "Something else.") for number in reversed(range(60))]
    _, with_another_seed = hold_out_rows(others, 5, seed=9, mix={"ratio": 0.5})
    assert [row["id"][1:] for row in held_out] == [row["id"][1:] for row in with_another_seed]
    assert [row["id"] for row in held_out] != sorted(row["id"] for row in held_out)  # not in the order of the file
    _, fewer = hold_out_rows(rows, 3)
    assert fewer == held_out[:3]


def test_rows_with_the_same_prompt_are_on_one_side(project: Path) -> None:
    rows = [make_example(f"g{number}", f"What is {number // 3}?", f"Answer {number}.") for number in range(90)]
    mixable, held_out = hold_out_rows(rows, 2)
    prompts = {row["messages"][0]["content"] for row in held_out}
    assert len(held_out) == len(prompts) == 2
    assert len(mixable) == 84
    assert not prompts & {row["messages"][0]["content"] for row in mixable}
    assert read_json("metrics/decontaminate.json")["decontaminate"]["same_prompt"] == 4


@pytest.mark.parametrize(("rows", "requested", "held_out"), [(60, 0, 0), (9, 200, 0), (60, 200, 6), (60, 6, 6)])
def test_no_more_than_a_tenth_of_the_rows_is_held_out(project: Path, rows: int, requested: int, held_out: int) -> None:
    examples = [make_example(f"g{number}", f"What is {number}?") for number in range(rows)]
    mixable, chosen = hold_out_rows(examples, requested)
    assert (len(mixable), len(chosen)) == (rows - held_out, held_out)


def test_a_prompt_that_too_many_rows_share_is_not_held_out(project: Path) -> None:
    common = [make_example(f"c{number}", "Hi") for number in range(30)]
    _, held_out = hold_out_rows(
        [*common, *(make_example(f"g{number}", f"What is {number}?") for number in range(30))], 6
    )
    assert len(held_out) == 6
    assert not {row["id"] for row in held_out} & {row["id"] for row in common}


def run_stage() -> "subprocess.CompletedProcess[str]":
    """Run the stage as DVC does."""
    return subprocess.run(
        [sys.executable, "-m", "stages.decontaminate"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_stage_prints_one_line_also_with_several_processes(project: Path) -> None:
    rows = [
        make_example(f"g{number}", LETTER if number % BLOCK_ROWS == 7 else f"Hi, {number}")
        for number in range(2 * BLOCK_ROWS + 5)
    ]
    write_inputs(*rows)
    result = run_stage()
    assert (result.returncode, result.stderr) == (0, "")
    (line,) = result.stdout.splitlines()
    assert line.startswith("decontaminate: ")
    assert re.findall(r"\d+", line) == [str(2 * BLOCK_ROWS + 3 - 200), "2", "200"]  # mixable, dropped, held out
    held_out = {row["id"] for row in read_jsonl("data/decontaminate/heldout.jsonl")}
    assert len(held_out) == 200
    assert read_jsonl("data/decontaminate/general.jsonl") == [
        row for row in rows if row["messages"][0]["content"] != LETTER and row["id"] not in held_out
    ]
    assert [row["id"] for row in read_jsonl("data/decontaminate/dropped.jsonl")] == ["g7", f"g{BLOCK_ROWS + 7}"]


@pytest.mark.parametrize("line", [5, 2 * BLOCK_ROWS])
def test_a_duplicate_id_in_another_block_is_a_one_line_error(project: Path, line: int) -> None:
    rows = [make_example(f"g{number}", "Hi") for number in range(2 * BLOCK_ROWS + 5)]
    write_inputs(*rows[: 2 * BLOCK_ROWS], {**rows[line - 1]}, *rows[2 * BLOCK_ROWS :])
    result = run_stage()
    location = f"data/prepared/general/general.jsonl:{2 * BLOCK_ROWS + 1}"
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith(f"decontaminate: {location}: ")
    assert f"'g{line - 1}'" in result.stderr and "general_rows.on_bad_row" in result.stderr
    assert not Path("data/decontaminate").exists()


def test_95_percent_of_leaks_of_real_tests_are_dropped_and_hardly_any_other_example(project: Path) -> None:
    test = read_shared_rows("mmlu/mmlu_test")
    prompts = read_shared_rows("ifeval/ifeval_input_data")
    lay_tests(test, prompts)
    rng = random.Random(0)
    texts = [row["question"] for row in test] + 10 * [row["prompt"] for row in prompts]
    chosen = rng.sample([text for text in texts if len(split_words(text)) > 1], 200)
    planted = [make_example(f"leak{n}", text, "B") for n, (_, text) in enumerate(disguise_texts(chosen))]
    names = ("self_instruct_human_seeds", "oasst1_eval953", "gsm8k_train", "gpteacher_roleplay", "mbpp_train")
    real = [row for name in names for row in read_shared_rows(f"general/{name}", 400)]
    rows = [*planted, *real]
    rng.shuffle(rows)
    write_inputs(*rows)
    main()
    dropped = Counter(row["id"].startswith("leak") for row in read_jsonl("data/decontaminate/dropped.jsonl"))
    assert dropped[True] >= 190
    assert dropped[False] <= 0.01 * len(real)
    kept = [row["id"] for name in ("general", "heldout") for row in read_jsonl(f"data/decontaminate/{name}.jsonl")]
    assert len(kept) == len(set(kept)) == len(rows) - dropped.total()


def test_questions_are_found_whatever_encodes_their_letters(project: Path) -> None:
    odd = {
        "a": PLANETS.replace("a", "\uff41"),
        "b": PLANETS.replace("our", "o&shy;ur").replace(" ", "&nbsp;"),
        "c": PLANETS.replace("moons", "mo\u00ado\u200bns"),
        "d": COMMENT.replace("a", "&#97;"),
    }
    kept, dropped = run_and_read(
        *(make_example(identity, text) for identity, text in odd.items()), make_example("e", "Why not?")
    )
    assert (kept, sorted(dropped)) == (["e"], ["a", "b", "c", "d"])


def test_keys_without_effect_are_named_with_the_number_of_their_rows(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [make_example(f"g{number}", f"What is {number}?", weight=2, Lang="de", license=None) for number in range(3)]
    rows[0]["messages"][1]["train"] = False
    lay_tests([{**make_question("Why?"), "Subject": "x"}], [{"key": 9, "prompt": LETTER, "keywords": 1}])
    write_inputs(*rows)
    main()
    keys = "id, category, source, lang, license, messages, messages.role, messages.content"
    expected = [
        ("benchmark/test.jsonl", "`Subject`", " 1 row", "`subject`"),
        ("benchmark/dev.jsonl", "`Subject`", " 1 row", "`subject`"),
        ("instructions/ifeval.jsonl", "`keywords`", " 1 row", "key, prompt, instruction_id_list, kwargs"),
        ("general/general.jsonl", "`weight`", " 3 rows", keys),
        ("general/general.jsonl", "`Lang`", " 3 rows", "`lang`"),
        ("general/general.jsonl", "`messages.train`", " 1 row", keys),
    ]
    _, *warnings = capsys.readouterr().out.splitlines()
    for warning, (file, *parts) in zip(warnings, expected, strict=True):
        assert warning.startswith(f"decontaminate: data/prepared/{file}: ")
        assert all(part in warning for part in parts)
