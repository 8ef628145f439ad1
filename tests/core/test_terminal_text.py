"""Text from data cannot send commands to the terminal."""

# ruff: noqa: RUF001 (the texts have letters of all languages)

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from alloy.core.terminal_text import EscapingStream, escape_controls
from projects import make_environment

ROOT = Path(__file__).parents[2]
ESCAPED_TEXTS = {
    "\x1b[31mred": "\\u001b[31mred",
    "\x1b]52;c;ZWNobyBoaQ==\x07": "\\u001b]52;c;ZWNobyBoaQ==\\u0007",
    "\x1b]0;title\x1b\\": "\\u001b]0;title\\u001b\\",
    "\x9b31m": "\\u009b31m",
    "a\rb": "a\\u000db",
    "a\bb\x7f": "a\\u0008b\\u007f",
    "\u202egnp.exe\u202c": "\\u202egnp.exe\\u202c",
    "\u2066x\u2069": "\\u2066x\\u2069",
    "a\u2028b\u2029": "a\\u2028b\\u2029",
    "\U000e0041": "\\udb40\\udc41",
    "\ud800": "\\ud800",
    "a\ufffe\uffff": "a\\ufffe\\uffff",
}
UNCHANGED_TEXTS = [
    "Größe: 3 °C\n\tnext",
    "👩\u200d👩\u200d👧 🏳\ufe0f",
    "می\u200cخواهم",
    "קוף\u200f!",
    "e\u0301",
    "\xa0\u3000",
]


@pytest.mark.parametrize(("text", "shown"), ESCAPED_TEXTS.items())
def test_control_characters_are_escaped(text, shown):
    assert escape_controls(f"é{text}") == f"é{shown}"
    assert escape_controls(shown) == shown


@pytest.mark.parametrize("text", UNCHANGED_TEXTS)
def test_text_of_all_languages_is_not_changed(text):
    assert escape_controls(text) == text


@pytest.mark.parametrize("text", [*ESCAPED_TEXTS, *UNCHANGED_TEXTS])
def test_an_escaped_json_row_has_the_same_value(text):
    row = {"text": text, text: [text]}
    line = escape_controls(json.dumps(row, ensure_ascii=False))
    assert json.loads(line) == row
    line.encode()


def test_a_stream_escapes_its_text_and_keeps_its_other_attributes():
    out = io.StringIO()
    stream = EscapingStream(out)
    print("a\x1b[2Jb", "c\rd", file=stream)
    stream.writelines(["\u202e\n", "x"])
    assert out.getvalue() == "a\\u001b[2Jb c\\u000dd\n\\u202e\nx"
    assert stream.getvalue() == out.getvalue()
    assert not stream.isatty()


def test_progress_bars_are_not_escaped():
    from tqdm import tqdm

    out = io.StringIO()
    for _ in tqdm([1, 2], file=EscapingStream(out, bars=True), desc="a\x1b[0m", disable=False):
        pass
    assert out.getvalue().startswith("\ra\\u001b[0m")
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().endswith("\n")


def write_all(*texts: str) -> str:
    out = io.StringIO()
    EscapingStream(out, bars=True).writelines(list(texts))
    return out.getvalue()


UP = "\x1b[A"


@pytest.mark.parametrize(
    "texts",
    [
        (f"{UP}{UP}\rFAKE",),
        ("line\n", UP, "FAKE"),
        ("line", "\n", UP),
        ("line", "\rFAKE"),
        ("\rbar", "\n", "line", "\n", UP, UP),
        ("\rbar", "\n", f"\rFAKE{UP}"),
        ("\rbar", "\n", UP, UP),
        ("line", "\n\n", UP + UP),
        ("a\n", "\rb\nc", "\rd"),
    ],
)
def test_text_cannot_move_the_cursor_to_other_text(texts):
    shown = write_all(*texts)
    assert "\\u001b" in shown or "\\u000d" in shown
    assert shown.count(UP) <= 1


def test_nested_progress_bars_are_not_escaped():
    from tqdm import tqdm

    out, plain = io.StringIO(), io.StringIO()
    for file in (EscapingStream(out, bars=True), plain):
        options = {"file": file, "disable": False, "mininterval": 0, "bar_format": "{desc} {n}"}
        for _ in tqdm([1, 2], desc="outer", **options):
            for _ in tqdm([1, 2], desc="inner", leave=False, **options):
                pass
    assert UP in out.getvalue()
    assert out.getvalue() == plain.getvalue()


STAGE_CODE = """
import sys
from alloy.core.files import InputError
from alloy.core.stage import run
def main():
    print("said \\x1b]52;c;eA==\\x07")
    print("warned \\u202e", file=sys.stderr)
    raise {error}
run(main)
"""


@pytest.mark.slow
@pytest.mark.parametrize("error", ["InputError('bad \\x1b[31m')", "ValueError('bug \\x1b[31m')"])
def test_the_output_of_a_stage_has_no_control_characters(tmp_path, error):
    command = [sys.executable, "-c", STAGE_CODE.format(error=error)]
    env = make_environment(PYTHONPATH=str(ROOT))
    result = subprocess.run(command, cwd=tmp_path, env=env, text=True, capture_output=True, check=False, timeout=300)
    assert result.returncode == 1
    assert result.stdout == "said \\u001b]52;c;eA==\\u0007\n"
    assert result.stderr.startswith("warned \\u202e\n")
    assert result.stderr.splitlines()[-1].endswith("\\u001b[31m")
    assert "\x1b" not in result.stderr
