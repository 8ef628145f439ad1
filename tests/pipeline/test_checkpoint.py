"""A model that exists goes through every stage, as one that is trained from scratch does."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from whole_project import commit_project, copy_project, run_command

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project with a local folder as the base model: a small model that was trained from scratch."""
    folder = copy_project(tmp_path_factory.mktemp("checkpoint") / "project")
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("profile: demo", "profile: smoke"))
    commit_project(folder)
    run_command(folder, "dvc", "repro", "base")
    shutil.copytree(folder / "models/base", folder.parent / "model")
    profile = yaml.safe_load((folder / "profiles/smoke.yaml").read_text())
    profile["model"] = {"path": "../model"}
    (folder / "profiles/smoke.yaml").write_text(yaml.safe_dump(profile))
    return folder


def test_a_model_from_a_folder_goes_through_every_stage_to_the_report(project):
    output = run_command(project, "dvc", "repro")
    assert "base" in re.findall(r"Running stage '([^']+)'", output)
    base = json.loads((project / "metrics/base.json").read_text())["base"]
    assert base["path"] == "../model"
    assert len(base["sha256"]) == 64
    assert re.search(r"^core hours of training +- +[\d.e-]+ +[\d.e-]+$", output, re.MULTILINE)  # tuned model and SVM
    assert base["sha256"] in (project / "models/tuned/README.md").read_text()
    assert (project / "metrics/report.html").is_file()
