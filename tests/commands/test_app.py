"""The `alloy` command: help with examples, suggestions, exit statuses, completion, and a fast start."""

import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

from alloy.commands.app import app
from alloy.core.files import InputError

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/commands.md"
EXAMPLE = re.compile(r"^ *Example: (.+)$", re.MULTILINE)
HEAVY = {"torch", "transformers", "datasets", "sklearn", "dvc", "pandas", "pyarrow", "numpy", "pydantic", "omegaconf"}
MAIN = "import sys; sys.argv[0] = 'alloy'; from alloy.commands.app import app, main; "
HIGHEST_CPU_SECONDS = 0.5


def list_commands(command: typer.core.TyperCommand | TyperGroup, *words: str) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command and group of commands below a group."""
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield (*words, name)
            yield from list_commands(child, *words, name)  # type: ignore[arg-type]


TREE = typer.main.get_command(app)
COMMANDS = list(list_commands(TREE))  # type: ignore[arg-type]
GROUPS = [(), ("check",), ("nova",), ("nova", "recipe")]


def show_help(words: tuple[str, ...]) -> str:
    shown = CliRunner().invoke(app, [*words, "--help"])
    assert shown.exit_code == 0
    return shown.output


def split_example(example: str) -> list[str]:
    """Return the arguments of `alloy` in a shell's line, without pipes and redirections."""
    words = shlex.split(example)
    words = words[words.index("alloy") + 1 :]
    return words[: words.index(">")] if ">" in words else words


def parse_arguments(arguments: list[str]) -> list[str]:
    """Parse arguments without running the command; return the words of the subcommand."""
    command, words, remaining = TREE, [], arguments
    while True:
        context = command.make_context("alloy", list(remaining), parent=None)
        if not isinstance(command, TyperGroup) or not context._protected_args:
            return words
        name, command, remaining = command.resolve_command(context, [*context._protected_args, *context.args])
        words.append(name)


def make_environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def run_alloy(code: str, *arguments: str, cwd: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    """Run Python code that may use `app` and `main` of the command."""
    command = [sys.executable, "-c", MAIN + code, *arguments]
    return subprocess.run(command, cwd=cwd, env=make_environment(), text=True, capture_output=True, check=False)


@pytest.mark.parametrize("words", [(), *COMMANDS], ids=" ".join)
def test_every_help_has_an_example_of_this_command_that_parses(words: tuple[str, ...]) -> None:
    examples = EXAMPLE.findall(show_help(words))
    assert examples
    for example in examples:
        assert parse_arguments(split_example(example))[: len(words)] == list(words)


@pytest.mark.parametrize("example", ["alloy cost --nothere demo", "alloy nothere", "alloy sweep --seeds few"])
def test_an_example_with_an_unknown_command_or_option_does_not_parse(example: str) -> None:
    with pytest.raises(typer._click.exceptions.UsageError):
        parse_arguments(split_example(example))


@pytest.mark.parametrize("words", GROUPS, ids=" ".join)
def test_a_list_of_commands_cuts_no_line(words: tuple[str, ...]) -> None:
    lines = show_help(words).partition("Commands:\n")[2].splitlines()
    assert {(*words, line.split()[0]) for line in lines} == {c for c in COMMANDS if c[:-1] == words}
    assert not [line for line in lines if line.endswith("...")]


def read_command_table() -> str:
    """Return the table of docs/commands.md: each command with the first line and the examples of its help."""
    rows = ["| command | what it does | example |", "|---|---|---|"]
    for words in COMMANDS:
        if words not in GROUPS or words == ("check",):
            text = show_help(words)
            summary = text.partition("\n\n")[2].partition("\n\n")[0].strip()
            examples = "<br>".join(f"`{example}`".replace("|", "\\|") for example in EXAMPLE.findall(text))
            rows.append(f"| `alloy {' '.join(words)}` | {' '.join(summary.split())} | {examples} |")
    return "\n".join(rows)


def test_the_page_of_commands_has_every_command_with_its_example() -> None:
    assert read_command_table() in PAGE.read_text(encoding="utf-8"), f"put this into {PAGE}:\n{read_command_table()}"


def test_help_takes_less_than_half_a_second_and_imports_no_large_library() -> None:
    code = "import atexit; atexit.register(lambda: print(*{name.partition('.')[0] for name in sys.modules})); main()"
    seconds = []
    for _ in range(2):  # the first run may compile
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        result = run_alloy(code, "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert result.returncode == 0
        assert "classify" in result.stdout
        assert not HEAVY & set(result.stdout.splitlines()[-1].split())
    assert min(seconds) < HIGHEST_CPU_SECONDS


@pytest.mark.parametrize(
    "words", [["nothere"], ["trace"], ["trace", "one"], ["cost"], ["cost", "demo", "0"], ["sweep", "1"]]
)
def test_a_wrong_call_ends_with_status_2_and_names_the_help_on_standard_error(words: list[str]) -> None:
    result = CliRunner().invoke(app, words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--help" in result.stderr


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["clasify"], "'classify'"),
        (["chekc"], "'check'"),
        (["check", "inptus"], "'inputs'"),
        (["nova", "recipe", "raed"], "'read'"),
        (["classify", "--modle", "x", "-"], "--model"),
        (["sweep", "--rations", "0"], "--ratios"),
    ],
)
def test_an_unknown_command_or_option_suggests_the_nearest(words: list[str], nearest: str) -> None:
    assert nearest in CliRunner().invoke(app, words).stderr


@pytest.mark.parametrize("words", [["cost", "demo"], ["check"], ["nova", "recipe", "write"], ["report"], ["grammar"]])
def test_outside_a_project_one_line_names_the_folder(tmp_path: Path, words: list[str]) -> None:
    result = run_alloy("main()", *words, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"alloy: {tmp_path}: ")
    assert list(tmp_path.iterdir()) == []


def test_below_a_project_the_line_names_the_folder_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").touch()
    (tmp_path / "data").mkdir()
    assert f"`cd {tmp_path}`" in run_alloy("main()", "report", cwd=tmp_path / "data").stderr


def test_help_works_outside_a_project(tmp_path: Path) -> None:
    result = run_alloy("main()", "cost", "--help", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "Example: alloy cost demo" in result.stdout


def test_an_error_in_the_input_ends_with_status_1_and_a_line_on_standard_error(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").touch()
    result = run_alloy("main()", "nova", "recipe", "read", "recipe.yaml", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("alloy: recipe.yaml: ")
    assert len(result.stderr.splitlines()) == 1


def test_ctrl_c_ends_with_status_130_and_no_traceback() -> None:
    wait = "import time; app.command('wait')(lambda: (print('ready', flush=True), time.sleep(60))); main()"
    command = [sys.executable, "-c", MAIN + wait, "wait"]
    with subprocess.Popen(
        command, cwd=ROOT, env=make_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, b"")


@pytest.mark.parametrize("words", [["--help"], ["many"]])
def test_a_closed_pipe_ends_quietly_with_the_status_of_sigpipe(words: list[str]) -> None:
    many = "app.command('many')(lambda: print('x' * 100000)); main()"
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", MAIN + many, *words]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=make_environment(),
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert (result.returncode, result.stderr) == (128 + signal.SIGPIPE, b"")


BASH = """
source <(_ALLOY_COMPLETE=source_bash {alloy})
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_alloy_completion {alloy}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def complete_in_bash(words: str, tmp_path: Path) -> list[str]:
    """Return what bash offers for the last of some words, by the completion script of the command."""
    alloy = tmp_path / "alloy"
    alloy.write_text(f"#!{sys.executable}\n{MAIN}main()\n")
    alloy.chmod(0o755)
    script = BASH.format(alloy=alloy, words=words)
    result = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=make_environment(), text=True, capture_output=True, check=True
    )
    return result.stdout.split()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("alloy cl", ["classify"]),
        ("alloy nova recipe ''", ["read", "write"]),
        ("alloy cost dem", ["demo"]),
        ("alloy evidence ma", ["mams"]),
    ],
)
def test_bash_completes_commands_and_names_of_the_project(tmp_path: Path, words: str, offered: list[str]) -> None:
    assert complete_in_bash(words, tmp_path) == offered


def list_completions(*words: str) -> list[str]:
    """Return the completions of the last word, as the script of bash asks for them."""
    env = {"_ALLOY_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(["alloy", *words]), "COMP_CWORD": str(len(words))}
    return CliRunner().invoke(app, env=env, prog_name="alloy").output.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["nov"], ["nova"]),
        (["check", "l"], ["lock"]),
        (["sweep", "--rat"], ["--ratios"]),
        (["cost", "smo"], ["smoke", "smollm2"]),
        (["evidence", "met"], ["methods"]),
        (["frontier", "--axis", "mmlu.gen"], ["mmlu.generated_acc", "mmlu.generated_strict"]),
    ],
)
def test_words_are_completed(monkeypatch: pytest.MonkeyPatch, words: list[str], offered: list[str]) -> None:
    monkeypatch.chdir(ROOT)
    assert list_completions(*words) == offered


def test_revisions_are_completed_and_outside_a_repository_nothing_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert list_completions("review", "wor") == []
    subprocess.run(["git", "init", "-q", "-b", "main"], check=True)
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "start"], check=True)
    subprocess.run(["git", "branch", "work"], check=True)
    assert list_completions("review", "wor") == ["work"]


def test_the_scripts_of_completion_are_shown() -> None:
    assert {"--install-completion", "--show-completion"} <= set(show_help(()).split())


BOMB = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))])
BAD_YAML = [
    *((file, text) for file in ("params.yaml", "dvc.yaml", "profiles/demo.yaml") for text in (BOMB, "a: [1")),
    ("dvc.lock", BOMB),
    ("data/mine/comments.jsonl.dvc", BOMB),
    ("data/mine/dvc.yaml", "a: [1"),
    ("params.yaml", "a: 1\na: 2"),
    ("params.yaml", "[1, 2]"),
    ("dvc.yaml", "[1, 2]"),
]


@pytest.mark.parametrize(("file", "text"), BAD_YAML)
@pytest.mark.parametrize("command", [["review", "main"], ["check", "lock"], ["check", "cache"], ["trace", "1"]])
def test_every_command_refuses_yaml_that_dvc_cannot_parse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["alloy", *command])
    Path("profiles").mkdir()
    Path("data/mine").mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml", "profiles/demo.yaml"):
        Path(name).write_text("a: 1\n")
    Path(file).write_text(text)
    error = CliRunner().invoke(app, command).exception
    assert isinstance(error, InputError)
    assert str(error).startswith(f"{file}:")
