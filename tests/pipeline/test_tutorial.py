"""The commands of the tutorial work in their order, from the spreadsheet to the report."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from projects import make_environment
from whole_project import commit_project, copy_project

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A clone of this repository's files as they are now, without results."""
    copy_project(tmp_path)
    commit_project(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_commands_of_the_tutorial_lead_from_a_spreadsheet_to_a_report(project: Path) -> None:
    printed = []
    for block in BLOCKS:
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=project,
            env=make_environment(PYTHONPATH=":".join([str(project), *filter(None, sys.path)])),
            text=True,
            capture_output=True,
            check=False,
            timeout=3600,
        )
        assert result.returncode == 0, f"{block}\n{result.stdout}\n{result.stderr}"
        printed.append(result.stdout)
    assert "import: 400 comments, 721 segments" in printed[0]
    source = yaml.safe_load((project / "data/reviews/source.yaml").read_text())
    assert source["columns"]["levels"] == ["Product", "Topic", "Subtopic", "Detail"]
    assert "400 comments" in printed[1]
    assert (project / "metrics/report.html").is_file()
    assert '"id"' in printed[4]
    tracked = subprocess.check_output(["git", "ls-files"], cwd=project, text=True).splitlines()
    assert "data/reviews/source.yaml" in tracked
    assert "data/reviews/reviews.xlsx" not in tracked
    assert "data/reviews/reviews.xlsx.dvc" in tracked
