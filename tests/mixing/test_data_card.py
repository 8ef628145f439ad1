"""The manifest and the card describe a mix; their counts are compared with its rows."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from alloy.core.files import Row, hash_path
from alloy.core.markdown import format_table
from alloy.formats.general import CUSTOMER
from alloy.mixing.data_card import build_manifest, render_card
from alloy.mixing.mixture import RowSizes, draw_mixture
from alloy.mixing.proportional_sampler import DrawnRow
from alloy.mixing.settings import Budget, Mix, Unit
from alloy.modeling.chat_examples import AssistantTurns, count_tokens
from mix_rows import make_chat, make_customer_rows, make_general_rows, make_row_sizes
from tiny_model import make_tokenizer

RATIOS = [0, 0.001, 0.05, 0.1, 0.25, 1 / 3, 0.5, 0.75, 0.9, 1]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer()


def make_rows(count: int) -> list[Row]:
    """Return general rows of two sources."""
    return [row if n % 4 else {**row, "source": "other"} for n, row in enumerate(make_general_rows(count))]


def draw_mix(mix: Mix, general: list[Row], tokenizer: Any = None, customer: int = 40) -> tuple[Row, list[Row]]:
    """Return the manifest of a mix and its rows."""
    parts = [
        make_row_sizes(make_customer_rows(customer), mix.unit, tokenizer),
        make_row_sizes(general, mix.unit, tokenizer),
    ]
    drawn = draw_mixture(mix, *parts)
    return build_manifest(mix, *zip(parts, drawn, strict=True)), read_drawn_rows(parts, drawn)


def read_drawn_rows(parts: list[RowSizes], drawn: tuple[list[DrawnRow], ...]) -> list[Row]:
    return [part.row_index.read_row(row.index) for part, rows in zip(parts, drawn, strict=True) for row in rows]


@pytest.mark.parametrize("ratio", RATIOS)
def test_rows_and_shares_add_up(ratio: float) -> None:
    report, rows = draw_mix(Mix(ratio=ratio), make_rows(400))
    counts = Counter(row["source"] for row in rows)
    assert (report["asked"], report["rows"], report["unit"], report["repeats"]) == (ratio, len(rows), "examples", 0)
    assert {name: source["rows"] for name, source in report["source"].items()} == counts
    assert report["achieved"] == pytest.approx(1 - counts[CUSTOMER] / len(rows), abs=1e-6)
    for name, source in report["source"].items():
        assert source["share"] == pytest.approx(counts[name] / len(rows), abs=1e-6)


def test_customers_come_first_then_sources_by_name() -> None:
    assert list(draw_mix(Mix(ratio=0.5), make_rows(400))[0]["source"]) == [CUSTOMER, "made", "other"]


@pytest.mark.parametrize("unit", list(Unit))
def test_token_counts_match_the_rows(unit: Unit, tokenizer) -> None:
    report, rows = draw_mix(Mix(ratio=0.4, unit=unit), make_rows(600), tokenizer, 200)
    sizes: Counter[str] = Counter()
    for name in (CUSTOMER, "made", "other"):
        counts = (
            count_tokens([row for row in rows if row["source"] == name], tokenizer, AssistantTurns.all)
            .sum(axis=0)
            .tolist()
        )
        source = report["source"][name]
        assert [source["tokens"], source["loss_tokens"]] == counts
        sizes[name] = source["rows"] if unit is Unit.examples else source[unit.value]
    for name, size in sizes.items():
        assert report["source"][name]["share"] == pytest.approx(size / sizes.total(), abs=1e-6)
    assert report["achieved"] == pytest.approx(1 - sizes[CUSTOMER] / sizes.total(), abs=1e-6)


def test_without_a_tokenizer_the_manifest_has_only_rows_and_shares() -> None:
    report = draw_mix(Mix(ratio=0.5), make_rows(100))[0]
    assert all(set(source) == {"rows", "share"} for source in report["source"].values())


def test_repeats_are_counted_on_both_sides() -> None:
    mix = Mix(ratio=0.5, repeat=True, budget=Budget.total, total=100)
    report, rows = draw_mix(mix, make_rows(20))
    assert report["repeats"] == 10 + 30
    assert report["rows"] == len(rows) == 100
    assert len({row["id"] for row in rows}) == 100 - 40


def test_weights_are_shares_of_the_whole_mix() -> None:
    report, rows = draw_mix(Mix(ratio=0.5, sources={"math": 3.0, "code": 1.0, "chat": 0.0}), make_general_rows(300))
    categories = Counter(row["category"] for row in rows)
    assert report["weight"] == {
        "math": {"asked": 0.375, "achieved": categories["math"] / 80},
        "code": {"asked": 0.125, "achieved": categories["code"] / 80},
        "chat": {"asked": 0.0, "achieved": 0.0},
    }
    assert report["weight"]["math"]["achieved"] == 0.375


def test_without_weights_the_manifest_has_none() -> None:
    assert "weight" not in draw_mix(Mix(ratio=0.5), make_general_rows(300))[0]


# The card


def write_card(tmp_path: Path, mix: Mix, general: list[Row], tokenizer: Any = None) -> str:
    (tmp_path / "given").write_text("x")
    report = draw_mix(mix, general, tokenizer)[0]
    left_out = {"comments: bad": 3, "general: shares a run of words with a test": 1234}
    return render_card(report, mix, left_out, [tmp_path / "given"], make_row_sizes(general).row_index.kinds)


def read_cells(text: str, first: str) -> list[str]:
    """Return the cells of the table row that begins with `first`."""
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_the_card_has_requested_and_achieved_share_rows_and_tokens(tmp_path: Path, tokenizer) -> None:
    mix = Mix(ratio=0.4, unit=Unit.tokens)
    text = write_card(tmp_path, mix, make_rows(600), tokenizer)
    report = draw_mix(mix, make_rows(600), tokenizer)[0]
    (line,) = (line for line in text.splitlines() if line.startswith("General rows are "))
    assert re.findall(r"\d[\d.,]*%?", line) == [f"{report['achieved']:.2%}", "40.00%", f"{report['rows']:,}", "0"]
    source = report["source"]["made"]
    expected = [f"{source['rows']:,}", f"{source['share']:.2%}", f"{source['tokens']:,}", f"{source['loss_tokens']:,}"]
    assert read_cells(text, "made")[1:5] == expected


def test_the_card_has_what_was_left_out_and_the_hashes_of_the_inputs(tmp_path: Path) -> None:
    text = write_card(tmp_path, Mix(ratio=0.5), make_rows(100))
    assert read_cells(text, "comments: bad") == ["comments: bad", "3"]
    assert read_cells(text, "general: shares a run of words with a test")[1] == "1234"
    assert f"| `{tmp_path / 'given'}` | `{hash_path(tmp_path / 'given')}` |" in text


def test_the_card_has_every_license_of_a_source(tmp_path: Path) -> None:
    general = [
        *(make_chat(f"a{n}", "a", "math", license="MIT") for n in range(20)),
        *(make_chat(f"b{n}", "b", "math") for n in range(20)),
        *(
            make_chat(f"c{n}", "c", "math", **({"license": "CC BY 4.0"} if n % 2 else {"license": "MIT"}))
            for n in range(20)
        ),
        *(make_chat(f"d{n}", "d", "math", **({"license": "MIT"} if n % 2 else {})) for n in range(20)),
    ]
    text = write_card(tmp_path, Mix(ratio=0.5), general)
    found = {name: read_cells(text, name)[-1] for name in (CUSTOMER, "a", "b", "c", "d")}
    assert found == {
        CUSTOMER: "your own data",
        "a": "MIT",
        "b": "not stated",
        "c": "CC BY 4.0, MIT",
        "d": "MIT, not stated",
    }


def test_the_card_has_the_settings_of_params(tmp_path: Path) -> None:
    mix = Mix(ratio=0.25, sources={"math": 2.0, "chat": 1.0}, repeat=True, budget=Budget.total, total=30)
    text = write_card(tmp_path, mix, make_general_rows(90))
    settings = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])["mix"]
    assert settings["sources"] == {"math": 2.0, "chat": 1.0}
    assert (settings["budget"], settings["total"], settings["repeat"], settings["unit"]) == (
        "total",
        30,
        True,
        "examples",
    )
    assert read_cells(text, "math")[1] == "16.67%"


def test_an_unknown_value_is_a_dash_not_zero(tmp_path: Path) -> None:
    assert read_cells(write_card(tmp_path, Mix(ratio=0.5), make_rows(100)), "made")[3:5] == ["-", "-"]


def test_a_name_cannot_leave_its_cell() -> None:
    assert format_table(("a", "b"), [("x | y\n| z", 3)]) == ["| a | b |", "| --- | --- |", "| x \\| y \\| z | 3 |"]
