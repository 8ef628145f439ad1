"""Package versions are pinned, compared with the installed ones, and recorded with the results."""

import json
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from alloy.core.files import InputError
from alloy.core.versions import (
    check_versions,
    describe_environment,
    find_pinned_versions,
    find_unexpected_versions,
    list_used_packages,
)
from projects import make_environment

ROOT = Path(__file__).parents[2]
PINS = f"# comment\ntorch=={version('torch').partition('+')[0]}\ntorchvision==1.0\ntransformers==0.1  # old\n"


def test_pins_are_read_from_the_constraints():
    assert find_pinned_versions("trl==1.2\nvllm==0.3 ; x\nxtrl==3\nlm-eval==0.4.10\n") == {
        "trl": "1.2",
        "vllm": "0.3",
        "lm-eval": "0.4.10",
    }


def test_versions_yaml_must_match_the_constraints_and_other_installed_versions_are_listed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^constraints\.txt: "):
        check_versions(write=False)
    Path("constraints.txt").write_text(PINS)
    with pytest.raises(InputError, match=r"^versions\.yaml: .*--write"):
        check_versions(write=False)
    (line,) = check_versions(write=True)
    assert line.startswith(f"transformers {version('transformers')} ")
    assert "0.1" in line
    assert check_versions(write=False) == [line]
    assert find_unexpected_versions(["torch"]) == []
    Path("constraints.txt").write_text(PINS.replace("0.1", "0.2"))
    with pytest.raises(InputError, match=r"^versions\.yaml: "):
        check_versions(write=False)


def test_the_environment_has_versions_and_processor(monkeypatch):
    monkeypatch.chdir(ROOT)
    environment = describe_environment()
    assert len(environment["constraints"]) == 64
    assert environment["packages"]["torch"] == version("torch")
    assert environment["processor"]
    assert environment["python"].startswith("3.")


def test_the_packages_of_a_stage_are_read_from_dvc_yaml():
    assert list_used_packages(
        {"params": ["mix", {"profiles/x.yaml": ["train"]}, {"versions.yaml": ["trl", "peft"]}]}
    ) == [
        "trl",
        "peft",
    ]
    assert list_used_packages({}) == []


PIPELINE = """
stages:
  small:
    cmd: python small.py
    params:
      - versions.yaml: [torch, transformers]
    deps: [small.py]
    outs: [out, metrics/environment/small.json]
"""
STAGE = "from alloy.core.stage import run\nrun(lambda: open('out', 'w').close())\n"


@pytest.mark.slow
def test_a_stage_warns_of_an_unpinned_version_and_records_its_environment(tmp_path):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    env = make_environment(PYTHONPATH=str(ROOT), DVC_NO_ANALYTICS="true")
    subprocess.run(["dvc", "init", "-q"], cwd=tmp_path, env=env, check=True)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "small.py").write_text(STAGE)
    (tmp_path / "params.yaml").write_text("{}\n")
    (tmp_path / "metrics").mkdir()
    shutil.copy(ROOT / "constraints.txt", tmp_path)

    def repro(pin: str) -> str:
        (tmp_path / "versions.yaml").write_text(f'torch: "{pin}"\ntransformers: "{version("transformers")}"\n')
        result = subprocess.run(
            ["dvc", "repro"], cwd=tmp_path, env=env, text=True, capture_output=True, check=False, timeout=300
        )
        assert result.returncode == 0, result.stderr
        return result.stdout + result.stderr

    output = repro("0.1")
    assert f"small: torch {version('torch')} is installed" in output
    record = json.loads((tmp_path / "metrics/environment/small.json").read_text())
    assert record["packages"]["torch"] == version("torch")
    output = repro(version("torch").partition("+")[0])
    assert "Running stage 'small'" in output
    assert "is installed" not in output
    assert "Running stage" not in repro(version("torch").partition("+")[0])
