"""The README's table of stages, its metrics, commands and links match the files."""

import json
import re
import subprocess
from pathlib import Path

import yaml

from alloy.comparison.metrics import BY_NAME

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def make_stage_table() -> str:
    """Return the README's table of stages, built from dvc.yaml."""
    rows = ["| stage | what it does | writes |", "|---|---|---|"]
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items():
        stage = stage.get("do", stage)
        outs = [*stage.get("outs", []), *(out for kind in ("metrics", "plots") for out in stage.get(kind, []))]
        paths = [next(iter(out)) if isinstance(out, dict) else out for out in outs]
        paths = [
            path for path in paths if not path.startswith("metrics/environment/")
        ]  # the text below the table names these
        written = ", ".join(
            f"`{path.replace('${item.model}', '<model>').replace('${key}', '<kind>')}`" for path in paths
        )
        rows.append(f"| `{name}` | {stage['desc']} | {written} |")
    return "\n".join(rows)


def test_the_table_of_stages_matches_dvc_yaml():
    assert make_stage_table() in README, f"put this into README.md:\n{make_stage_table()}"


def test_the_metrics_in_the_readme_match_the_summary():
    # The committed file: another machine's `make repro` may write other last digits.
    committed = subprocess.check_output(["git", "show", "HEAD:metrics/summary.json"], cwd=ROOT, text=True)
    summary = json.loads(committed)
    for name in ("voc.f1", "leak", "mmlu.acc", "mmlu.generated_acc", "loss.general"):
        base, tuned = (BY_NAME[name].read_value(summary[model]) for model in ("base", "tuned"))
        assert re.search(rf"^{re.escape(BY_NAME[name].title)} +\d+ +{base:.3f} +{tuned:.3f} ", README, re.MULTILINE)


def test_settings_in_commands_of_the_pages_are_existing_keys():
    # DVC adds a new key only if a plus precedes it.
    pages = [README, *(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md")))]
    settings = re.findall(r"-S (?:(profiles/\w+\.yaml):)?(\+?)([\w.]+)=", "\n".join(pages))
    assert len(settings) > 5
    for file, plus, key in settings:
        value = yaml.safe_load((ROOT / (file or "params.yaml")).read_text())
        *sections, last = key.split(".")
        for section in sections:
            value = value[section]
        assert (last in value) != bool(plus), f"{file or 'params.yaml'}: {key}"


def test_links_between_the_pages_have_existing_targets():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
