"""Text from data is never executed: a complete run on data that consists only of hostile text."""

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from alloy.core.tables import format_csv
from whole_project import commit_project, copy_project, run_command

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TOUCH = "PWNED"  # a payload that is executed creates this file
RESULT = str(1234567 * 7)  # not in any file, so that only executed code can write it
PAYLOADS = {
    "template": "{{ 1234567 * 7 }}",
    "template that runs": "{{ cycler.__init__.__globals__.os.system('touch PWNED') }}",
    "statement": "{% set x = 1234567 * 7 %}{{ x }}{% raw %}",
    "comment": "{# gone #}{{ self }}",
    "expression": "__import__('os').system('touch PWNED') or 1234567*7",
    "interpolation": "${1234567*7} #{1234567*7} <%= 1234567*7 %> ${oc.env:PATH} ${seed}",
    "format": "{0.__class__} {} %s %(x)s",
    "shell": "$(touch PWNED) `touch PWNED`; touch PWNED | touch PWNED && touch PWNED",
    "yaml": "!!python/object/apply:os.system ['touch PWNED']",
    "script": "<script>document.title='PWNED'</script>",
    "image": "\"'><img src=x onerror=alert(1)><svg onload=alert(1)>",
    "link": "[x](javascript:alert(1)) ![y](http://evil.example/z)",
    "formula": '=HYPERLINK("http://evil.example";"x")',
    "formula with a sign": "-1+1|cmd' /C calc'!A0",
    "mention": "@SUM(1+1)*cmd",
    "mathtext": r"price $5 or $\frac{1}{0$ $x_",
    "terminal": "a\x1b]52;c;eA==\x07b \x1b[31m\u202egnp.exe\u202c",
    "cell": "a | b || `c` \\",
}
ALL = list(PAYLOADS.values())


def write_rows(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_data(folder: Path) -> None:
    """Write all files that a user provides; every text in them is or contains a payload."""
    leaves = [(f"A {text}", f"B {text}") for text in ALL] + [(text, text) for text in ALL if "\x1b" not in text]
    taxonomy = format_csv(
        ["L1", "L2", "description"], [[*leaf, text] for leaf, text in zip(leaves, ALL * 2, strict=False)]
    )
    folder.mkdir()
    (folder / "taxonomy.csv").write_text(taxonomy, encoding="utf-8", newline="")
    comments = [
        {
            "id": f"{text} {number}",
            "text": f"{text} {number} words {'abcdefghij'[number % 10] * 5} {number * 7919}",
            "lang": text,
            "split": "test" if number % 4 == 0 else "train",
            "segments": [
                {"content": text, **dict(zip(("L1", "L2"), leaves[number % len(leaves)], strict=True)), "emotion": text}
            ],
        }
        for number in range(60)
        for text in [ALL[number % len(ALL)]]
    ]
    for row in comments:
        row["text"] = f"{row['segments'][0]['content']} {row['text']}"
    write_rows(folder / "comments.jsonl", comments)
    write_rows(
        folder / "general.jsonl",
        [
            {
                "id": f"{text} {number}",
                "category": text,
                "source": text,
                "lang": text,
                "license": text,
                "messages": [
                    {"role": "system", "content": f"{text} {number}"},
                    {"role": "user", "content": f"{text} {number * 31} {'qwertzuiop'[number % 10] * 4}"},
                    {"role": "assistant", "content": f"{text} {number}"},
                ],
            }
            for number in range(120)
            for text in [ALL[number % len(ALL)]]
        ],
    )
    for split in ("test", "dev"):
        write_rows(
            folder / f"benchmark/{split}.jsonl",
            [
                {
                    "subject": text,
                    "question": f"{split} {text}",
                    "choices": [f"{number} {text}" for number in range(4)],
                    "answer": 1,
                }
                for text in ALL
            ],
        )
    write_rows(
        folder / "ifeval.jsonl",
        [
            {
                "key": number,
                "prompt": f"Write {text}",
                "instruction_id_list": ["keywords:existence"],
                "kwargs": [{"keywords": [PAYLOADS["template that runs"], PAYLOADS["shell"]]}],
            }
            for number, text in enumerate(ALL)
        ],
    )
    write_rows(
        folder / "prompts.jsonl",
        [{"id": text, "category": text, "messages": [{"role": "user", "content": text}]} for text in ALL],
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a copy of this project with payloads as data, before its run."""
    folder = copy_project(tmp_path_factory.mktemp("hostile"))
    write_data(folder / "data/evil")
    params = yaml.safe_load((folder / "params.yaml").read_text())
    sets = ("comments", "general", "benchmark", "instructions", "chat")
    params |= {"profile": "smoke", "data": dict.fromkeys(sets, "evil")}
    params["split"] |= {"near_duplicate_threshold": 1.0}
    params["decontaminate"] |= {"ngram_size": 40, "fuzzy_match_min_words": 40, "held_out": 10}
    # A weight per source, whose names are payloads; `${` in params is a reference, which is refused in words.
    params["mix"] |= {"ratio": 0.25, "sources": dict.fromkeys(ALL[:4], 1)}
    params["prompt"] |= {"taxonomy": "shortlist", "shortlist": 2, "examples": 1}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    profile = yaml.safe_load((folder / "profiles/smoke.yaml").read_text())
    profile["model"]["scratch"]["max_position_embeddings"] = profile["train"]["max_length"] = 8192  # payloads are long
    (folder / "profiles/smoke.yaml").write_text(yaml.safe_dump(profile))
    commit_project(folder)
    return folder


@pytest.fixture(scope="module")
def output(folder: Path) -> str:
    """Return what `dvc repro` prints."""
    return run_command(folder, "dvc", "repro", "report")


def read_written(folder: Path) -> dict[str, str]:
    """Return the text of each file that the run has written."""
    files = [
        file
        for subfolder in ("metrics", "data", "models")
        for file in (folder / subfolder).rglob("*")
        if file.is_file()
    ]
    texts = {}
    for file in files:
        if "evil" not in file.parts and file.suffix in (".json", ".jsonl", ".csv", ".md", ".html", ".svg", ".jinja"):
            texts[str(file.relative_to(folder))] = file.read_text(encoding="utf-8")
    return texts


def test_no_text_is_executed_or_evaluated(folder, output):
    assert [str(path) for path in folder.rglob(f"*{TOUCH}*")] == []
    texts = read_written(folder)
    assert {"metrics/report.html", "data/mix/README.md", "models/tuned/README.md", "metrics/loss.csv"} <= texts.keys()
    assert [name for name, text in texts.items() if RESULT in text] == []
    assert RESULT not in output
    assert "PWNED\n" not in output


def test_output_has_no_terminal_control_sequences(output):
    assert re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", output) is None


def test_texts_are_not_changed(folder, output):
    mixed = [json.loads(line) for line in (folder / "data/mix/train.jsonl").read_text().splitlines()]
    all_text = "\n".join(message["content"] for row in mixed for message in row["messages"])
    for text in (PAYLOADS["template"], PAYLOADS["template that runs"]):
        assert text in all_text
    assert any(text in all_text for text in (PAYLOADS["script"], PAYLOADS["shell"], PAYLOADS["interpolation"]))


class Elements(HTMLParser):
    """Collects what a page would run or fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "img", "iframe", "object", "embed", "base", "form"):
            self.found.append(tag)
        for name, value in attrs:
            if name.startswith("on") or "javascript:" in (value or "") or "evil.example" in (value or ""):
                self.found.append(f"{tag} {name}={value}")


def test_pages_and_plots_have_no_markup_from_data(folder, output):
    for name, text in read_written(folder).items():
        if name.endswith((".html", ".svg")):
            page = Elements()
            page.feed(text)
            assert page.found == [], name
            assert re.search("[\x1b\u202a-\u202e]", text) is None, name


def test_cards_have_no_markup_from_data(folder, output):
    texts = read_written(folder)
    for name in ("data/mix/README.md", "models/tuned/README.md"):
        fenced = re.sub(r"^```.*?^```$", "", texts[name], flags=re.MULTILINE | re.DOTALL)
        assert re.search(r"<(script|img|svg)", fenced) is None, name
        assert re.search(r"(?<!\\)\]\((javascript|http)", fenced) is None, name
        assert "\x1b" not in texts[name]
        assert "\u202e" not in texts[name]


def test_no_cell_is_a_formula(folder, output):
    files = [
        file
        for subfolder in ("metrics", "data")
        for file in (folder / subfolder).rglob("*.csv")
        if "evil" not in file.parts
    ]
    assert {file.name for file in files} >= {"loss.csv", "tradeoff.csv"}
    for file in files:
        with file.open(newline="", encoding="utf-8") as lines:
            for row in csv.reader(lines):
                for cell in row:
                    assert re.match(r"[=@\t\r]|[+-](?![0-9.eE+-]+$)", cell) is None, f"{file}: {cell}"
