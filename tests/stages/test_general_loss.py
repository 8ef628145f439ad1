"""The stage `general_loss`: what it writes, when it is skipped, and how it resumes after a kill."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from alloy.core.files import InputError, read_json, read_jsonl, write_jsonl
from alloy.modeling.model_folder import write_hosted
from projects import make_environment, read_weights, write_labeling_project
from stages.general_loss import CHUNK, main
from tiny_model import make_chat

OUTS = [Path("metrics/general_loss.json"), Path("metrics/general_loss.jsonl")]
COMMAND = [sys.executable, "-m", "stages.general_loss"]


def write_project(folder: Path, rows: int, noise: float = 0.02) -> Path:
    """Make `folder` a project with the inputs of the stage: held-out rows, and a tuned model (the base with noise)."""
    write_labeling_project(folder, ["A lamp."])
    shutil.copytree(folder / "models/base", folder / "models/tuned")
    weights = read_weights(folder / "models/base")
    generator = torch.Generator().manual_seed(0)
    noisy = {name: tensor + noise * torch.randn(tensor.shape, generator=generator) for name, tensor in weights.items()}
    save_file(noisy, folder / "models/tuned/model.safetensors", {"format": "pt"})
    write_jsonl(folder / "data/decontaminate/heldout.jsonl", [{**make_chat(n), "id": f"g{n}"} for n in range(rows)])
    return folder


@pytest.fixture
def project_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_project(tmp_path / "project", 6)
    monkeypatch.chdir(folder)
    return folder


def test_the_stage_writes_nats_per_token_of_both_models_and_sums_per_row(
    project_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main()
    found, rows = read_json(OUTS[0]), read_jsonl(OUTS[1])
    assert [row["id"] for row in rows] == [f"g{n}" for n in range(6)]
    assert all(list(row) == ["id", "tokens", "base", "tuned", "kl"] for row in rows)
    tokens = sum(row["tokens"] for row in rows)
    for model in ("base", "tuned"):
        loss = found[model]["loss"]
        assert [loss[key] for key in ("rows", "tokens", "truncated", "skipped")] == [6, tokens, 0, 0]
        assert loss["general"] == pytest.approx(sum(row[model] for row in rows) / tokens, abs=1e-4)
    assert found["base"]["loss"]["kl"] == 0 < found["tuned"]["loss"]["kl"]
    assert found["tuned"]["loss"]["kl"] == pytest.approx(sum(row["kl"] for row in rows) / tokens, abs=1e-4)
    assert capsys.readouterr().out.startswith(f"general_loss: 6 rows, {tokens} tokens; base ")


def test_equal_models_have_equal_losses(project_folder: Path) -> None:
    shutil.copy("models/base/model.safetensors", "models/tuned/model.safetensors")
    main()
    found = read_json(OUTS[0])
    assert found["base"] == found["tuned"]
    assert all(row["base"] == row["tuned"] and row["kl"] == 0 for row in read_jsonl(OUTS[1]))


def test_the_profile_sets_limit_and_max_length(project_folder: Path) -> None:
    profile = project_folder / "profiles/small.yaml"
    text = profile.read_text()
    profile.write_text(text.replace("general_loss: {}", "general_loss: {limit: 2}"))
    main()
    assert [row["id"] for row in read_jsonl(OUTS[1])] == ["g0", "g1"]
    profile.write_text(text.replace("general_loss: {}", "general_loss: {max_length: 3}"))
    with pytest.raises(InputError, match=r"^general_loss\.max_length: .*\b6 held-out rows"):
        main()


def use_hosted_base() -> None:
    shutil.rmtree("models/base")
    write_hosted(Path("models/base"), "some-model")


def remove_held_out_rows() -> None:
    Path("data/decontaminate/heldout.jsonl").write_text("\n")


@pytest.mark.parametrize(
    ("change", "reason"), [(use_hosted_base, "some-model"), (remove_held_out_rows, "decontaminate")]
)
def test_the_stage_is_skipped_if_there_is_nothing_to_measure(
    project_folder: Path, change: Callable[[], None], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change()
    main()
    assert read_json(OUTS[0]) == {"base": {}, "tuned": {}}
    assert OUTS[1].read_text() == ""
    output = capsys.readouterr().out
    assert output.startswith("general_loss: skipped, ")
    assert reason in output


def count_kept_rows(folder: Path) -> int:
    """Return the number of rows in the log of a run that is in progress or was killed."""
    return sum(len(log.read_bytes().splitlines()) for log in folder.glob(".dvc/tmp/alloy/general-loss-*/done.log"))


@pytest.mark.slow
def test_after_a_kill_and_a_restart_the_output_has_the_same_bytes(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "project", 400)
    with subprocess.Popen(COMMAND, cwd=folder, env=make_environment()) as process:
        while count_kept_rows(folder) <= 2 * CHUNK:
            assert process.poll() is None
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    assert not any((folder / out).exists() for out in OUTS)
    result = subprocess.run(COMMAND, cwd=folder, env=make_environment(), text=True, capture_output=True, check=True)
    assert result.stderr == ""
    resumed = [(folder / out).read_bytes() for out in OUTS]
    shutil.rmtree(folder / ".dvc")
    subprocess.run(COMMAND, cwd=folder, env=make_environment(), capture_output=True, check=True)
    assert [(folder / out).read_bytes() for out in OUTS] == resumed
