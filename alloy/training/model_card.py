"""The README.md of a tuned model: what it was made from, how, and what training showed."""

from collections import Counter
from pathlib import Path

import yaml

from alloy.core.files import Row, sha256
from alloy.core.markdown import table
from alloy.training.settings import Train

FRONT = "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags: [alloy]\n{base}---\n"


def card(
    rows: list[Row], train: Train, seed: int, base: tuple[str, str | None], inputs: list[Path], report: Row
) -> str:
    """Return the card, in Markdown. It holds nothing that differs between two runs of the same experiment."""
    name, revision = base
    front = FRONT.format(base=f"base_model: {name}\n" if revision else "")
    mix = Counter(row["category"] for row in rows)
    params = yaml.safe_dump(train.model_dump(mode="json") | {"seed": seed}, sort_keys=False)
    return "\n".join(
        [
            front,
            "# A model tuned on customer comments",
            "",
            f"Made by Alloy from `{name}`{f' at `{revision}`' if revision else ''}. What it scores is in "
            "`metrics/summary.json` of the repository and commit that made it.",
            "",
            "## Training data",
            "",
            *table(("rows of", "count", "share"), [(k, n, f"{n / len(rows):.1%}") for k, n in sorted(mix.items())]),
            "",
            *table(("input", "sha256"), [(f"`{path}`", f"`{sha256(path)}`") for path in inputs]),
            "",
            "## Training",
            "",
            *table(("metric", "value"), list(report.items())),
            "",
            "```yaml",
            params + "```",
            "",
        ]
    )
