"""The stage `base` as a user runs it: it writes models/base, or fails with one line and writes no files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from alloy.core.files import InputError, hash_path, read_json, write_jsonl
from alloy.core.settings import BadRow
from model_files import write_gguf, write_model
from projects import ROOT, SECTIONS, copy_code, make_environment
from stages.base import select_usable_rows
from tiny_model import ROWS, SCRATCH

pytestmark = pytest.mark.slow

BASE = [sys.executable, "-m", "stages.base"]


@pytest.fixture
def project(tmp_path) -> Path:
    copy_code(tmp_path)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    shutil.copy(ROOT / "versions.yaml", tmp_path)
    (tmp_path / "params.yaml").write_text("profile: small\n")
    (tmp_path / "profiles").mkdir()
    return tmp_path


def run_command(
    project: Path, model: dict, command: list[str] = BASE, **env: str
) -> "subprocess.CompletedProcess[str]":
    profile = {"model": model, "train": {"lr": 1.0e-4, "max_length": 256}, "infer": {}, **SECTIONS}
    (project / "profiles/small.yaml").write_text(yaml.safe_dump(profile))
    return subprocess.run(
        command, cwd=project, env=make_environment(**env), text=True, capture_output=True, check=False, timeout=300
    )


def list_files(project: Path) -> list[str]:
    """Return the files in models/ and metrics/."""
    return [str(path.relative_to(project)) for name in ("models", "metrics") for path in (project / name).rglob("*")]


def test_a_gguf_file_becomes_the_base_and_its_hash_is_a_metric(project):
    write_gguf(project / "a.gguf")
    result = run_command(project, {"gguf": "a.gguf"})
    digest = hash_path(project / "a.gguf")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"base: gguf a.gguf, sha256 {digest}\n", "")
    assert read_json(project / "metrics/base.json") == {"base": {"gguf": "a.gguf", "sha256": digest}}
    assert read_json(project / "models/base/config.json")["model_type"] == "qwen3"


def test_an_unusable_folder_is_an_error_of_one_line(project):
    (write_model(project / "given") / "config.json").unlink()
    result = run_command(project, {"path": "given"})
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("base: model.path: given: ")
    assert "config.json" in line
    assert list_files(project) == []


@pytest.mark.parametrize("kind", ["path", "gguf"])
def test_a_full_disk_is_an_error_of_one_line_and_leaves_nothing(project, kind):
    """The folder models/ is a disk of 60 kB, mounted in a user's mount namespace."""
    write_model(project / "given")
    write_gguf(project / "a.gguf")
    (project / "models").mkdir()
    script = 'mount -t tmpfs -o size=60k tmpfs models && "$@"; status=$?; ls -A models; exit $status'
    own_view = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    if shutil.which("unshare") is None or os.name != "posix":
        pytest.skip("no unshare to make a small disk with")
    if subprocess.run([*own_view, "true"], cwd=project, capture_output=True, check=False).returncode:
        pytest.skip("this system lets no user mount a small disk")
    result = run_command(project, {kind: {"path": "given", "gguf": "a.gguf"}[kind]}, [*own_view, *BASE])
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("base: ")
    assert "free some space" in line
    assert list_files(project) == []


REASONING = [{"role": "user", "content": "17+25?"}, {"role": "assistant", "content": "<think>It is 42.</think>42"}]


def test_a_model_from_scratch_stops_at_a_bad_general_row_or_leaves_it_out(tmp_path):
    file = tmp_path / "general.jsonl"
    good = [{**row, "source": "made", "category": "facts"} for row in ROWS]
    bad = [{**good[0], "id": "odd", "messages": REASONING}, {**good[1], "messages": []}, good[3]]
    write_jsonl(file, [*good[:5], *bad, *good[5:]])
    with pytest.raises(InputError) as caught:
        select_usable_rows(file, SCRATCH, BadRow.stop)
    *locations, end = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in locations] == [f"{file}:{number}" for number in (6, 7, 8)]
    assert "general_rows.on_bad_row: reject" in end
    rows, tokenizer = select_usable_rows(file, SCRATCH, BadRow.reject)
    assert rows == good
    assert tokenizer.chat_template
