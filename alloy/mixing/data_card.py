"""What a mix consists of: the manifest (metrics/mix.json) and the data card (data/mix/README.md)."""

from pathlib import Path

import numpy as np
import yaml

from alloy.core.files import Row, hash_path
from alloy.core.markdown import escape_markdown, format_code, format_table
from alloy.core.terminal_text import escape_controls
from alloy.formats.general import CUSTOMER
from alloy.mixing.mixture import RowSizes, group_kinds
from alloy.mixing.proportional_sampler import DrawnRow
from alloy.mixing.row_index import RowKind
from alloy.mixing.settings import Mix


def build_manifest(
    mix: Mix, customer: tuple[RowSizes, list[DrawnRow]], general: tuple[RowSizes, list[DrawnRow]]
) -> Row:
    """Return the manifest: requested and achieved share of general rows, repeats, and rows, share, tokens per source.

    `too_long` counts, per source, the rows that were left out because they exceed `max_length` tokens. If `mix.sources`
    has weights, `weight` has the requested and the achieved share of each name.
    """
    sources: dict[str, Row] = {}
    mix_size = sum(row.size for _, drawn in (customer, general) for row in drawn)
    for sizes, drawn in (customer, general):
        kinds, indices, size, kind_of_row = _list_columns(sizes, drawn)
        for name in sorted({kinds[kind].source for kind in np.unique(kind_of_row).tolist()}):
            in_source = np.isin(kind_of_row, [index for index, kind in enumerate(kinds) if kind.source == name])
            rows = {"rows": int(in_source.sum()), **_sum_tokens(sizes, indices[in_source])}
            sources[name] = {**rows, "share": round(int(size[in_source].sum()) / mix_size, 6)}
    report = {
        "asked": mix.ratio,
        "achieved": round(sum(row.size for row in general[1]) / mix_size, 6),
        "unit": mix.unit.value,
        "rows": len(customer[1]) + len(general[1]),
        "repeats": sum(row.repetition > 0 for _, drawn in (customer, general) for row in drawn),
        "source": sources,
    }
    if encoding := customer[0].encoding:
        left_out = customer[0].count_too_long() + general[0].count_too_long()
        too_long = {name: left_out[name] for name in dict.fromkeys([*sources, *sorted(left_out)])}
        report |= {"max_length": encoding.max_length, "too_long": too_long}
    return report | ({"weight": _compare_weights(mix, mix_size, *general)} if mix.sources else {})


def _list_columns(sizes: RowSizes, drawn: list[DrawnRow]) -> tuple[list[RowKind], np.ndarray, np.ndarray, np.ndarray]:
    """Return the list of kinds and, per drawn row, its index, its size and the index of its kind."""
    indices = np.array([row.index for row in drawn], np.int64)
    size = np.array([row.size for row in drawn], np.int64)
    return sizes.row_index.kinds, indices, size, sizes.row_index.table["kind"][indices]


def _sum_tokens(sizes: RowSizes, indices: np.ndarray) -> Row:
    if sizes.encoding is None:
        return {}
    tokens, loss_tokens = sizes.count_row_tokens(indices).sum(axis=0, dtype=np.int64).tolist()
    return {"tokens": tokens, "loss_tokens": loss_tokens}


def _compare_weights(mix: Mix, mix_size: int, sizes: RowSizes, drawn: list[DrawnRow]) -> Row:
    kinds, _, size, kind = _list_columns(sizes, drawn)
    weights, groups = group_kinds(mix.sources, kinds)
    return {
        name: {
            "asked": round(mix.ratio * weight / sum(weights.values()), 6),
            "achieved": round(int(size[np.isin(kind, groups[name])].sum()) / mix_size, 6),
        }
        for name, weight in weights.items()
    }


def render_card(report: Row, mix: Mix, left_out: Row, inputs: list[Path], kinds: list[RowKind]) -> str:
    """Return the data card of a mix, in Markdown.

    `report` is the manifest. `left_out` counts the rows that are not in the mix, by reason. `inputs` are the files that
    the mix was made from. `kinds` are the kinds of the general rows.
    """
    share = "of the " + mix.unit.value.replace("_", " ")
    licenses: dict[str, set[str]] = {CUSTOMER: {"your own data"}}
    for name, _, license_ in kinds:
        licenses.setdefault(name, set()).add(license_ or "not stated")
    sources = [
        (
            escape_markdown(name),
            f"{source['rows']:,}",
            f"{source['share']:.2%}",
            *(f"{source[key]:,}" if key in source else "-" for key in ("tokens", "loss_tokens")),
            escape_markdown(", ".join(sorted(licenses[name]))),
        )
        for name, source in report["source"].items()
    ]
    weighted = [
        (escape_markdown(name), f"{share_of['asked']:.2%}", f"{share_of['achieved']:.2%}")
        for name, share_of in report.get("weight", {}).items()
    ]
    return "\n".join(
        [
            "# The training mix",
            "",
            f"General rows are {report['achieved']:.2%} {share} (requested: {report['asked']:.2%}). The mix has "
            f"{report['rows']:,} rows; {report['repeats']:,} of them are repeats.",
            "",
            *format_table(("source", "rows", f"share {share}", "tokens", "loss tokens", "license"), sources),
            "",
            *([*format_table(("weight", "requested", "achieved"), weighted), ""] if weighted else []),
            *format_table(
                ("left out", "rows"), [(escape_markdown(reason), count) for reason, count in left_out.items()]
            ),
            "",
            *format_table(("input", "sha256"), [(format_code(path), format_code(hash_path(path))) for path in inputs]),
            "",
            "```yaml",
            escape_controls(_render_yaml(mix)) + "```",
            "",
        ]
    )


def _render_yaml(mix: Mix) -> str:
    """Return the section as YAML, each value on one line. A line of backticks would end the code block."""
    return yaml.safe_dump({"mix": mix.model_dump(mode="json")}, sort_keys=False, allow_unicode=True, width=10**6)
