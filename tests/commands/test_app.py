"""The `alloy` command: every subcommand explains itself, and nothing heavy is loaded before it is needed."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alloy.commands.app import app

COMMANDS = [
    ["classify"],
    ["evidence"],
    ["import"],
    ["sweep"],
    ["frontier"],
    ["trace"],
    ["review"],
    ["cost"],
    ["grammar"],
    ["smoke"],
    ["check", "inputs"],
    ["check", "tests"],
    ["check", "lock"],
    ["check", "cache"],
    ["check", "versions"],
    ["nova", "export"],
    ["nova", "recipe", "read"],
    ["nova", "recipe", "write"],
]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: list[str]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"])
    assert shown.exit_code == 0
    assert f"{' '.join(command)} [OPTIONS]" in shown.output


def test_the_list_of_commands_is_whole_and_no_line_of_it_is_cut() -> None:
    for group, names in (
        ([], {command[0] for command in COMMANDS}),
        (["check"], {"inputs", "tests", "lock", "cache", "versions"}),
        (["nova"], {"export", "recipe"}),
        (["nova", "recipe"], {"read", "write"}),
    ):
        listed = CliRunner().invoke(app, [*group, "--help"]).output.partition("Commands:\n")[2].splitlines()
        assert {line.split()[0] for line in listed} == names
        assert not [line for line in listed if line.endswith("...")]


def test_help_loads_no_library_that_takes_time() -> None:
    code = "import sys, alloy.commands.app; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True).stdout
    assert not {"torch", "transformers", "numpy", "pydantic", "omegaconf", "dvc", "matplotlib"} & set(loaded.split())


@pytest.mark.parametrize(
    "words", [["nothere"], ["trace"], ["trace", "one"], ["cost"], ["cost", "demo", "0"], ["sweep", "1"]]
)
def test_a_wrong_call_ends_with_status_2_and_says_how_to_get_help(words: list[str]) -> None:
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 2
    assert "--help" in ended.output
