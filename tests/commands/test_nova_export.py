"""Chats are written as conversations in Converse format, and are the same when they are read again."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from alloy.commands.nova_export import main
from alloy.core.files import InputError, read_jsonl, write_json, write_jsonl
from alloy.datasets.nova import convert_nova
from alloy.datasets.nova_labels import format_taxonomy_csv
from alloy.formats.comments import Segment, make_segment_row
from alloy.formats.converse import REJECTED_WORDS, SCHEMA, to_conversation, to_messages
from alloy.formats.taxonomy import Taxonomy, load_taxonomy
from alloy.labeling.prompt import Prompts
from alloy.labeling.settings import Prompt
from hostile_comments import HOSTILE

Row = dict[str, Any]
LABELS = Taxonomy(
    ("L1", "L2"),
    {
        ("Setup", "Pairing"): "joins two devices",
        ("Setup", 'The "manual": [1]'): "",
        ("Preis", "Zu teuer \\ fair, oder?"): "too dear: {fair}",
        ("価格", "12:30"): "",
        ("Setup", "a; b\\nc"): "",
    },
)
TASK = {"levels": ["L1", "L2"], "has_content": True, "emotions": ["anger", "joy"], "most_segments": 4}


def make_chat(*turns: str, system: tuple[str, ...] = ()) -> list[dict[str, str]]:
    messages = [{"role": ("user", "assistant")[index % 2], "content": turn} for index, turn in enumerate(turns)]
    return [*({"role": "system", "content": text} for text in system), *messages]


def make_hostile_comments() -> list[Row]:
    """Return one labeled comment per hostile text, with random contents, paths and emotions."""
    generator = random.Random(0)
    rows = []
    for number, text in enumerate(HOSTILE):
        segments = []
        for _ in range(generator.randint(1, 4)):
            content = generator.choice([None, text, text[: len(text) // 2 + 1]])
            content = content if content and content.strip() else None
            segments.append(
                Segment(generator.choice(list(LABELS.leaves)), content, generator.choice([None, "anger", "joy"]))
            )
        rows.append(
            {"id": f"c{number}", "text": text, "segments": [make_segment_row(part, LABELS.levels) for part in segments]}
        )
    return rows


def write_split(train: list[Row], test: list[Row], prompt: str = "{}") -> None:
    """Write the outputs of `split` and `mix`, with customer rows only, into the working folder."""
    Path("params.yaml").write_text(f"prompt: {prompt}\n")
    prompts = Prompts.from_task(Prompt.load(), LABELS, TASK, train)
    write_json("data/split/taxonomy.json", LABELS.to_rows())
    write_json("data/split/task.json", TASK)
    write_jsonl("data/split/train.jsonl", train)
    write_jsonl("data/split/test.jsonl", test)
    chats = [
        [*messages, {"role": "assistant", "content": prompts.render_gold_answer(row)}]
        for row, messages in zip(train, prompts.build_messages(train), strict=True)
    ]
    write_mix(*chats)


def write_mix(*chats: list[dict[str, str]]) -> None:
    rows = [{"id": f"r{n}", "source": "x", "category": "x", "messages": messages} for n, messages in enumerate(chats)]
    write_jsonl("data/mix/train.jsonl", rows)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("{}\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_is_unchanged_in_every_turn_of_a_conversation(text: str) -> None:
    for messages in (
        make_chat("Hello", text),
        make_chat(text, "[]"),
        make_chat("a", text, text, "b", system=(text,)),
        make_chat(text, text, system=("x", text)),
    ):
        conversation = json.loads(json.dumps(to_conversation(messages)))
        assert conversation["schemaVersion"] == SCHEMA
        assert [set(turn) for turn in conversation["messages"]] == [{"role", "content"}] * len(conversation["messages"])
        assert to_messages(conversation) == messages


def test_system_turns_have_a_separate_field() -> None:
    assert to_conversation(make_chat("Hi", "Ho", system=("Be brief.",))) == {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}, {"role": "assistant", "content": [{"text": "Ho"}]}],
    }
    assert "system" not in to_conversation(make_chat("Hi", "Ho"))


def test_texts_of_a_turn_are_joined_and_thoughts_are_dropped() -> None:
    conversation = to_conversation(make_chat("Hi", "Ho"))
    thought = {"reasoningContent": {"reasoningText": {"text": "Hm."}}}
    conversation["messages"][1]["content"] = [thought, {"text": "H"}, {"text": "o"}]
    assert to_messages(conversation) == make_chat("Hi", "Ho")


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        (make_chat("a"), "got user$"),
        (make_chat("a", "b", "c"), "got user, assistant, user$"),
        (make_chat("a", "b")[::-1], "got assistant, user$"),
        ([], "got none$"),
        ([*make_chat("a"), {"role": "tool", "content": "x"}], "got user, tool$"),
        ([*make_chat("a", "b"), {"role": "system", "content": "x"}], "a system message comes after other messages"),
        (make_chat("a", " \n"), "a message is empty"),
        (make_chat("a", "b", system=("",)), "a message is empty"),
    ],
)
def test_a_chat_that_nova_would_refuse_is_an_error(messages: list[dict[str, str]], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        to_conversation(messages)


@pytest.mark.parametrize("prompt", ["{}", "{examples: 3}", "{taxonomy: full}", "{taxonomy: full, examples: 2}"])
def test_comments_are_unchanged_when_the_files_are_read_again(project: Path, prompt: str) -> None:
    rows = make_hostile_comments()
    train, test = rows[:-40], rows[-40:]
    write_split(train, test, prompt)
    main(Path("data/converse"))
    shutil.copytree("data/converse", "data/nova/raw")
    Path("data/nova/raw/taxonomy.csv").write_bytes(format_taxonomy_csv(LABELS.leaves).encode())
    Path("back").mkdir()
    convert_nova(Path("data/nova/raw"), Path("back"))
    back = read_jsonl("back/comments.jsonl")
    assert [(row["text"], row["segments"], row["split"]) for row in back] == [
        (row["text"], row["segments"], subset) for subset, part in (("test", test), ("train", train)) for row in part
    ]
    assert len({row["id"] for row in back}) == len(back)
    assert load_taxonomy("back/taxonomy.csv") == Taxonomy(LABELS.levels, dict(sorted(LABELS.leaves.items())))


def test_the_lines_match_mix_and_test_set_and_have_only_nova_fields(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = make_hostile_comments()[:5]
    write_split(rows[:3], rows[3:])
    write_mix(make_chat("2 + 2?", "4"), make_chat("a", "b", "c", "d", system=("Be brief.",)))
    main(Path("data/converse"))
    assert capsys.readouterr().out == (
        "converse: 2 conversations in data/converse/train.jsonl, 2 in data/converse/test.jsonl\n"
    )
    train, test = read_jsonl("data/converse/train.jsonl"), read_jsonl("data/converse/test.jsonl")
    assert [list(row) for row in train] == [["schemaVersion", "messages"], ["schemaVersion", "system", "messages"]]
    assert [json.loads(row["messages"][-1]["content"][0]["text"]) for row in test] == [r["segments"] for r in rows[3:]]
    assert all(
        row["text"] in conversation["messages"][0]["content"][0]["text"]
        for row, conversation in zip(rows[3:], test, strict=True)
    )


def test_the_folder_can_be_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = make_hostile_comments()[:3]
    write_split(rows[:2], rows[2:])
    main(Path("elsewhere"))
    assert sorted(path.name for path in Path("elsewhere").iterdir()) == ["test.jsonl", "train.jsonl"]


@pytest.mark.parametrize("word", REJECTED_WORDS)
def test_words_that_nova_refuses_are_named_with_their_location(
    project: Path, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    rows = make_hostile_comments()[:3]
    write_split(rows[:2], rows[2:])
    write_mix(make_chat("Hello", "Hi"), make_chat(f"He said {word} no", "Oh"))
    main(Path("data/converse"))
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("converse: data/mix/train.jsonl:2: ")
    assert word in warning
    assert "1 of 3" in warning
    assert word in read_jsonl("data/converse/train.jsonl")[1]["messages"][0]["content"][0]["text"]


def test_a_row_that_is_not_a_conversation_is_named_and_nothing_is_written(project: Path) -> None:
    rows = make_hostile_comments()[:3]
    write_split(rows[:2], rows[2:])
    write_mix(make_chat("Hello", "Hi"), make_chat("Hello", "Hi", "Bye"))
    with pytest.raises(InputError, match=r"^data/mix/train\.jsonl:2: "):
        main(Path("data/converse"))
    assert list(Path("data/converse").iterdir()) == []


def test_before_split_and_mix_the_missing_file_is_named_in_the_error(project: Path) -> None:
    with pytest.raises(InputError, match=r"^data/split/taxonomy.json: "):
        main(Path("data/converse"))
