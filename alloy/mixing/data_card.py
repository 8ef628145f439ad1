"""What a mix consists of: the manifest, as numbers, and the card, for people."""

from pathlib import Path

import numpy as np
import yaml

from alloy.core.files import Row, hash_path
from alloy.core.markdown import escape_markdown, format_code, format_table
from alloy.core.terminal_text import escape_controls
from alloy.formats.general import CUSTOMER
from alloy.mixing.mixture import Sizes, weigh
from alloy.mixing.proportional_sampler import Draw
from alloy.mixing.row_index import Kind
from alloy.mixing.settings import Mix


def manifest(mix: Mix, customer: tuple[Sizes, list[Draw]], general: tuple[Sizes, list[Draw]]) -> Row:
    """Return the asked and the achieved share of general rows, repeats, and rows, share and tokens by source.

    `too_long` counts by source the rows that were looked at and left out, since they exceed `max_length` tokens. If
    `mix.sources` has weights, `weight` has the shares of the whole by its names.
    """
    sources: dict[str, Row] = {}
    whole = sum(one.size for _, drawn in (customer, general) for one in drawn)
    for sizes, drawn in (customer, general):
        kinds, places, size, kind = _columns(sizes, drawn)
        for name in sorted({kinds[number][0] for number in np.unique(kind).tolist()}):
            of = np.isin(kind, [number for number, one in enumerate(kinds) if one[0] == name])
            rows = {"rows": int(of.sum()), **_tokens(sizes, places[of])}
            sources[name] = {**rows, "share": round(int(size[of].sum()) / whole, 6)}
    report = {
        "asked": mix.ratio,
        "achieved": round(sum(one.size for one in general[1]) / whole, 6),
        "unit": mix.unit.value,
        "rows": len(customer[1]) + len(general[1]),
        "repeats": sum(one.before > 0 for _, drawn in (customer, general) for one in drawn),
        "source": sources,
    }
    if encoding := customer[0].encoding:
        left_out = customer[0].too_long() + general[0].too_long()
        too_long = {name: left_out[name] for name in dict.fromkeys([*sources, *sorted(left_out)])}
        report |= {"max_length": encoding.max_length, "too_long": too_long}
    return report | ({"weight": _weighted(mix, whole, *general)} if mix.sources else {})


def _columns(sizes: Sizes, drawn: list[Draw]) -> tuple[list[Kind], np.ndarray, np.ndarray, np.ndarray]:
    """Return the kinds that there are and, of each row that was drawn, its place, its size and its kind."""
    places = np.array([one.place for one in drawn], np.int64)
    size = np.array([one.size for one in drawn], np.int64)
    return sizes.pool.kinds, places, size, sizes.pool.table["kind"][places]


def _tokens(sizes: Sizes, places: np.ndarray) -> Row:
    if sizes.encoding is None:
        return {}
    tokens, loss_tokens = sizes.tokens(places).sum(axis=0, dtype=np.int64).tolist()
    return {"tokens": tokens, "loss_tokens": loss_tokens}


def _weighted(mix: Mix, whole: int, sizes: Sizes, drawn: list[Draw]) -> Row:
    kinds, _, size, kind = _columns(sizes, drawn)
    weights, groups = weigh(mix.sources, kinds)
    return {
        name: {
            "asked": round(mix.ratio * weight / sum(weights.values()), 6),
            "achieved": round(int(size[np.isin(kind, groups[name])].sum()) / whole, 6),
        }
        for name, weight in weights.items()
    }


def card(report: Row, mix: Mix, left_out: Row, inputs: list[Path], kinds: list[Kind]) -> str:
    """Return the card, in Markdown.

    `left_out` counts by reason what does not come into the mix, `inputs` are the files it was made of, `kinds` those of
    the general rows.
    """
    share = "of the " + mix.unit.value.replace("_", " ")
    licences: dict[str, set[str]] = {CUSTOMER: {"yours"}}
    for name, _, licence in kinds:
        licences.setdefault(name, set()).add(licence or "not said")
    sources = [
        (
            escape_markdown(name),
            f"{source['rows']:,}",
            f"{source['share']:.2%}",
            *(f"{source[key]:,}" if key in source else "-" for key in ("tokens", "loss_tokens")),
            escape_markdown(", ".join(sorted(licences[name]))),
        )
        for name, source in report["source"].items()
    ]
    weighted = [
        (escape_markdown(name), f"{of['asked']:.2%}", f"{of['achieved']:.2%}")
        for name, of in report.get("weight", {}).items()
    ]
    return "\n".join(
        [
            "# The training mix",
            "",
            f"General rows: {report['asked']:.2%} {share} asked, {report['achieved']:.2%} achieved. "
            f"{report['rows']:,} rows, {report['repeats']:,} of them repeats.",
            "",
            *format_table(("source", "rows", f"share {share}", "tokens", "loss tokens", "licence"), sources),
            "",
            *([*format_table(("weighted", "asked", "achieved"), weighted), ""] if weighted else []),
            *format_table(("left out", "rows"), [(escape_markdown(why), count) for why, count in left_out.items()]),
            "",
            *format_table(("input", "sha256"), [(format_code(path), format_code(hash_path(path))) for path in inputs]),
            "",
            "```yaml",
            escape_controls(_yaml(mix)) + "```",
            "",
        ]
    )


def _yaml(mix: Mix) -> str:
    """Return the section as YAML, each value in one line: a line of backticks would end the block around it."""
    return yaml.safe_dump({"mix": mix.model_dump(mode="json")}, sort_keys=False, allow_unicode=True, width=10**6)
