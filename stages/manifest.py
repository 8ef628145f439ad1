"""What a mix consists of: the manifest, as numbers, and the card, for people."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from stages.card import sha256, table
from stages.draw import Sizes
from stages.experiment import Mix, Unit
from stages.general_data import CUSTOMER
from stages.mixture import Draw
from stages.records import Row

COUNTED = 2000  # rows of a source that tell how many tokens all of it has, where the unit is examples


def manifest(mix: Mix, parts: list[tuple[Sizes, list[Draw]]]) -> Row:
    """Return the asked and the achieved share of general rows, repeats, and rows, share and tokens by source."""
    sources: dict[str, Row] = {}
    for sizes, drawn in parts:
        by_source = defaultdict(list)
        for one in drawn:
            by_source[sizes.pool.kinds[sizes.pool.table["kind"][one.place]][0]].append(one)
        for name, rows in sorted(by_source.items()):
            sources[name] = {"rows": len(rows), "size": sum(one.size for one in rows), **_tokens(sizes, rows)}
    whole = sum(source["size"] for source in sources.values())
    customer = sources.get(CUSTOMER, {"size": 0})["size"]
    for source in sources.values():
        source["share"] = round(source.pop("size") / whole, 6)
    return {
        "asked": mix.ratio,
        "achieved": round(1 - customer / whole, 6),
        "unit": mix.unit.value,
        "rows": sum(source["rows"] for source in sources.values()),
        "repeats": sum(one.before > 0 for _, drawn in parts for one in drawn),
        "source": sources,
    }


def _tokens(sizes: Sizes, rows: list[Draw]) -> Row:
    if sizes.tokenizer is None:
        return {}
    places = np.array([one.place for one in rows])
    looked_at = places if sizes.unit is not Unit.examples else places[:: -(-len(places) // COUNTED)]
    tokens, loss_tokens = np.rint(sizes.tokens(looked_at).mean(axis=0) * len(places)).astype(int).tolist()
    return {"tokens": tokens, "loss_tokens": loss_tokens}


def card(report: Row, mix: Mix, left_out: Row, inputs: list[Path], licences: dict[str, str | None]) -> str:
    """Return the card, in Markdown.

    `left_out` counts by reason what does not come into the mix, `inputs` are the files it was made of.
    """
    share = "of the " + mix.unit.value.replace("_", " ")
    sources = [
        (
            name,
            f"{source['rows']:,}",
            f"{source['share']:.2%}",
            f"{source.get('tokens', 0):,}",
            f"{source.get('loss_tokens', 0):,}",
            licences.get(name) or ("yours" if name == CUSTOMER else "not said"),
        )
        for name, source in report["source"].items()
    ]
    settings = {key: getattr(mix, key) for key in ("general", "budget", "total", "repeat", "sources")}
    said = [(key, getattr(value, "value", value)) for key, value in settings.items()]
    return "\n".join(
        [
            "# The training mix",
            "",
            f"General rows: {report['asked']:.2%} {share} asked, {report['achieved']:.2%} achieved. "
            f"{report['rows']:,} rows, {report['repeats']:,} of them repeats.",
            "",
            *table(("source", "rows", f"share {share}", "tokens", "loss tokens", "licence"), sources),
            "",
            *table(("mix", "value"), said),
            "",
            *table(("left out", "rows"), list(left_out.items())),
            "",
            *table(("input", "sha256"), [(f"`{path}`", f"`{sha256(path)}`") for path in inputs]),
            "",
        ]
    )
