"""The table of `alloy check`: docs/check.md shows the demo's table, in 80 columns."""

import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from alloy.commands.check_inputs import check_inputs
from alloy.commands.check_table import (
    CommentStatistics,
    DataRow,
    Summary,
    TokenStatistics,
    format_bytes,
    format_dollars,
    format_duration,
    format_languages,
    format_rounded,
    render_table,
)
from alloy.commands.estimate_training import Cost

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/check.md").read_text(encoding="utf-8")
# What differs between machines: of a line of the costs all but its title, and what was measured for them.
MEASURED = re.compile(
    r" +\d+ +(?:< )?[\d.,]+ (?:s|min|h|days) +[\d.,]+ [GM]iB +(?:(?:< )?\$[\d.,]+|-)$|\(.* GFLOP/s .*\)$"
)
COMMENTS = CommentStatistics(
    levels=4,
    leaves=1420,
    mean_segments=1.834,
    most_segments=12,
    languages=Counter({"en": 60, "de": 30, "fr": 5, "es": 3, "": 2}),
    copies=1234,
    near_duplicates=567,
    contradictory_texts=8,
    contradictory_comments=20,
    rare=1000,
    rare_below=20,
    absent=77,
    train=99_999,
    test=20_000,
)
LARGE = Summary(
    profile="qwen3-30b-a3b",
    model="Qwen/Qwen3-30B-A3B, 30,532.1 M parameters",
    data={kind: DataRow(kind, "a/long/name", 1_000_000, 0) for kind in ("comments", "instructions")},
    comments=COMMENTS,
    tokens=TokenStatistics(131_072, 12_345, 32_768, left_out=True, exact=False),
    trained_tokens=1.2e9,
    costs=[
        Cost("L4, 24 GB, $0.80 per hour", None, memory=443 * 2**30),
        Cost("train, on this machine", 1, 0.3, 229 * 2**20, 0.001),
        Cost("H200, 141 GB, $4.00 per hour", 32, 1.3e6, 71 * 2**30, 12_345.67),
    ],
    basis="60% of the 95 GFLOP/s of 2 cores, just measured",
)


def remove_measured(text: str) -> str:
    return "\n".join(MEASURED.sub(" ...", line) for line in text.splitlines())


def test_the_page_shows_the_table_of_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    Path("params.yaml").write_text("profile: demo\n")
    Path("data").mkdir()
    for name in ("data/demo", "data/chat", "profiles"):
        Path(name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "dvc.yaml", ".")
    summary = check_inputs()
    table = render_table(summary)
    assert remove_measured(table) in remove_measured(PAGE), f"put this into docs/check.md:\n{table}"
    assert (summary.errors, summary.warnings) == ([], [])
    assert table.count("\n") <= 27
    assert max(map(len, table.splitlines())) <= 80


def test_large_numbers_stay_in_80_columns_and_are_aligned_to_the_right() -> None:
    lines = render_table(LARGE).splitlines()
    assert max(map(len, lines)) <= 80
    assert {len(line) for line in lines[1:-1] if line} == {74}
    assert [line.split()[-2:] for line in lines if line.startswith(("instructions", "L4"))] == [
        ["1,000,000", "0"],
        ["GiB", "-"],
    ]


def test_what_is_not_known_is_left_out_or_a_dash() -> None:
    lines = render_table(Summary("p", "m", {"chat": DataRow("chat", "x")})).splitlines()
    assert len(lines) == 3
    assert lines[-1].split() == ["chat", "x", "-", "-"]


def test_near_duplicates_that_were_not_searched_are_not_zero() -> None:
    (line,) = (
        line
        for line in render_table(Summary(comments=replace(COMMENTS, near_duplicates=None))).splitlines()
        if line.startswith("exact copies")
    )
    assert line.endswith("1,234, not searched")


@pytest.mark.parametrize(
    ("tokens", "ending"),
    [
        (TokenStatistics(900, 0, 512, left_out=True, exact=False), " 0"),
        (TokenStatistics(900, 7, 512, left_out=True, exact=False), " about 7 (left out)"),
        (TokenStatistics(900, 7, 512, left_out=False), " 7"),
    ],
)
def test_only_a_count_from_a_sample_is_marked_as_approximate(tokens: TokenStatistics, ending: str) -> None:
    (line,) = (line for line in render_table(Summary(tokens=tokens)).splitlines() if line.startswith("longer than"))
    assert line.removeprefix("longer than train.max_length (512 tokens)").lstrip() == ending.lstrip()


def test_languages_are_named_by_their_share() -> None:
    assert format_languages(Counter({"": 3})) == "not named in the rows"
    assert format_languages(Counter({"en": 3, "": 1})) == "en 75%, not named 25%"
    assert format_languages(COMMENTS.languages) == "en 60%, de 30%, fr 5%, es 3%, 1 more"


def test_times_and_amounts_have_three_digits_at_most() -> None:
    assert [format_duration(value) for value in (0.2, 99, 101, 7200, 2e6)] == [
        "< 1 s",
        "99 s",
        "2 min",
        "2.0 h",
        "23.1 days",
    ]
    assert [format_bytes(value) for value in (2**20 * 229, 2**30 * 71)] == ["229 MiB", "71.0 GiB"]
    assert [format_dollars(value) for value in (0.004, 1234.5)] == ["< $0.01", "$1,234.50"]
    assert [format_rounded(value) for value in (999, 1_038_205, 12_300, 2.5e9)] == ["999", "1.04 M", "12.3 K", "2.5 B"]
