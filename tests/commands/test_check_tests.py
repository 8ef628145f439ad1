"""Before training, `alloy check tests` says which tests can show forgetting."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from alloy.commands.app import app
from alloy.commands.check_tests import main
from alloy.core.files import InputError, write_json
from example_metrics import make_metrics, write_metrics


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("seed: 1\n", encoding="utf-8")
    return tmp_path


def read_answers(out: str) -> list[str]:
    """Return the last column of the table."""
    return [line.split()[-1] for line in out.split("\n\n")[0].splitlines()[1:]]


def test_each_test_has_a_line_that_says_whether_it_can_show_forgetting(capsys: pytest.CaptureFixture[str]) -> None:
    write_metrics({"base": make_metrics(acc=60, generated=27, ifeval=0)})
    main()
    out = capsys.readouterr().out
    assert read_answers(out) == ["yes", "yes", "yes", "no", "no"]
    assert "mmlu.cloze_acc_norm" in out


def test_the_command_prints_the_table() -> None:
    write_metrics({"base": make_metrics()})
    ended = CliRunner().invoke(app, ["check", "tests"])
    assert (ended.exit_code, read_answers(ended.output)) == (0, ["yes"] * 5)


def test_the_command_fails_if_no_test_can_show_forgetting(capsys: pytest.CaptureFixture[str]) -> None:
    write_metrics({"base": make_metrics(acc=26, generated=20, ifeval=0)})
    with pytest.raises(InputError, match=r"^data\.benchmark: "):
        main()
    assert read_answers(capsys.readouterr().out) == ["no"] * 5


@pytest.mark.parametrize("missing", ["metrics/mmlu/base.json", "metrics/mmlu/base.jsonl", "metrics/ifeval/base.json"])
def test_a_missing_file_is_named_with_the_command_that_creates_it(missing: str) -> None:
    write_metrics({"base": make_metrics()})
    Path(missing).unlink()
    with pytest.raises(InputError) as caught:
        main()
    assert str(caught.value).startswith(f"{missing}: ")
    assert "dvc repro mmlu@base ifeval@base" in str(caught.value)


def test_a_hosted_base_takes_no_tests() -> None:
    write_metrics({"base": ({}, {})})
    for stage in ("mmlu", "ifeval"):
        write_json(f"metrics/{stage}/base.json", {"base": {}})
    with pytest.raises(InputError, match="hosted"):
        main()
