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


EVIDENCE_COLUMNS = {
    "voc.f1_full": "F1, topic and emotion",
    "ifeval.leak": "IFEval answers that are customer labels",
    "mmlu.cloze_acc_norm": "correct answers to science questions",
    "loss.general": "loss on general text",
}
EVIDENCE_ROWS = {
    "mix.ratio 0": "tuned on reviews only",
    "mix.ratio 0.1": "tuned with 10 % general examples",
    "mix.ratio 0.25": "tuned with 25 % general examples",
    "mix.ratio 0.5": "tuned with 50 % general examples",
}
ANSWER_LENGTH = 32


def format_estimate(estimate: dict | None) -> str:
    """Return a value with its interval as the README shows it."""
    if not estimate:
        return ""
    interval = f" ({estimate['low']:.2f} to {estimate['high']:.2f})" if "low" in estimate else ""
    return f"{estimate['value']:.2f}{interval}"


def evidence_table() -> str:
    """Return the table of the experiment `mams`: one row per model, with its answer to one question."""
    summary = json.loads((ROOT / "docs/evidence/mams.json").read_text())
    configurations = {found["label"]: found["metrics"] for found in summary["configurations"]}
    seeds = {found["label"]: len(found["seeds"]) for found in summary["configurations"]}
    comments = summary["configurations"][0]["trained"][0]["comments"]
    first = next(iter(configurations.values()))
    models = [("base model", {name: first[name]["base"] for name in EVIDENCE_COLUMNS}, summary["answers"]["base"])]
    for label, title in EVIDENCE_ROWS.items():
        estimates = {name: configurations[label][name]["tuned"] for name in EVIDENCE_COLUMNS}
        models.append((f"{title} ({seeds[label]})", estimates, summary["answers"]["tuned"][label]))
    svm = {name: first[name].get("svm") for name in EVIDENCE_COLUMNS}
    lines = [["model (training seeds)", *EVIDENCE_COLUMNS.values(), f'"{summary["answers"]["prompt"]}"']]
    lines.append(["---"] * len(lines[0]))
    for title, estimates, answer in models:
        shown = answer if len(answer) <= ANSWER_LENGTH else f"{answer[:ANSWER_LENGTH]}..."
        lines.append([title, *(format_estimate(estimates[name]) for name in EVIDENCE_COLUMNS), f"`{shown}`"])
    lines.append(
        [f"linear SVM, all {comments:,} reviews", *(format_estimate(svm[name]) for name in EVIDENCE_COLUMNS), ""]
    )
    return "\n".join("|" + "".join(f" {cell} |" if cell else " |" for cell in line) for line in lines)


def test_the_table_of_the_experiment_matches_its_results():
    assert evidence_table() in README, f"put this into README.md:\n{evidence_table()}"


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
