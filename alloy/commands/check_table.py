"""The table of `alloy check`: statistics of the data, and the estimated cost of training.

The checks fill a `Summary`. `render_table` formats it in at most 80 columns.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from alloy.commands.estimate_training import Cost

WIDTH = 74  # characters of a line with an aligned value
MAX_LANGUAGES = 4  # that are listed; the others are counted
NONE = "-"


@dataclass(frozen=True)
class DataRow:
    """One kind of data: its folder below data/, and the numbers of its rows and bad rows; None if it has an error."""

    kind: str
    folder: str
    rows: int | None = None
    bad: int | None = None


@dataclass(frozen=True)
class CommentStatistics:
    """Statistics of the comments.

    - `languages`: number of comments per language; "" for comments without one
    - `copies`: comments with the same text as an earlier one
    - `near_duplicates`: comments that are similar to an earlier one; None if they are not searched for
      (`split.near_duplicate_threshold` is 1)
    - `contradictory_texts`, `contradictory_comments`: texts whose copies have different labels, and these copies
    - `rare`: leaves with fewer than `rare_below` training segments
    - `absent`: leaves without training segments
    - `train`, `test`: comments in each split
    """

    levels: int
    leaves: int
    mean_segments: float
    most_segments: int
    languages: Counter[str]
    copies: int
    near_duplicates: int | None
    contradictory_texts: int
    contradictory_comments: int
    rare: int
    rare_below: int
    absent: int
    train: int
    test: int


@dataclass(frozen=True)
class TokenStatistics:
    """Lengths of the training examples, in tokens of the model.

    - `longest`: the longest example
    - `too_long`: number of examples with more than `limit` tokens
    - `left_out`: whether these are left out; if not, they are an error in the stage `mix`
    - `exact`: whether all examples were counted, not only a sample
    """

    longest: int
    too_long: int
    limit: int
    left_out: bool
    exact: bool = True


@dataclass
class Summary:
    """The results of `alloy check`. The results of a check that failed are missing."""

    profile: str = ""
    model: str = ""
    data: dict[str, DataRow] = field(default_factory=dict)
    comments: CommentStatistics | None = None
    tokens: TokenStatistics | None = None
    trained_tokens: float | None = None
    costs: list[Cost] = field(default_factory=list)
    basis: str = ""
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def render_table(summary: Summary) -> str:
    """Return the table, without warnings and errors."""
    lines = [f"profile {summary.profile}: {summary.model}", *_render_data(summary.data)]
    statistics = [*_list_comment_statistics(summary.comments), *_list_token_statistics(summary.tokens)]
    lines += ["", *(_align_statistic(title, value) for title, value in statistics)] if statistics else []
    lines += ["", *_render_costs(summary)] if summary.costs else []
    return "".join(f"{line}\n" for line in lines)


def _render_data(data: dict[str, DataRow]) -> Iterator[str]:
    yield f"{'data':<14}{'folder':<36}{'rows':>12}{'bad rows':>12}"
    for row in data.values():
        yield f"{row.kind:<14}{row.folder:<36}{_format_count(row.rows):>12}{_format_count(row.bad):>12}"


def _list_comment_statistics(statistics: CommentStatistics | None) -> Iterator[tuple[str, str]]:
    if statistics is None:
        return
    yield "comments to train on, to test on", f"{statistics.train:,}, {statistics.test:,}"
    yield "levels, leaves", f"{statistics.levels}, {statistics.leaves:,}"
    yield "segments per comment: mean, most", f"{statistics.mean_segments:.2f}, {statistics.most_segments}"
    yield "languages", format_languages(statistics.languages)
    near_duplicates = "not searched" if statistics.near_duplicates is None else f"{statistics.near_duplicates:,}"
    yield "exact copies, near duplicates", f"{statistics.copies:,}, {near_duplicates}"
    contradictions = f"{statistics.contradictory_texts:,}"
    if statistics.contradictory_texts:
        contradictions += f" ({statistics.contradictory_comments:,} copies)"
    yield "texts whose copies have different labels", contradictions
    rare = f"{statistics.rare:,}" + (f" ({statistics.absent:,} have none)" if statistics.absent else "")
    yield f"leaves with fewer than {statistics.rare_below} training segments", rare


def _list_token_statistics(statistics: TokenStatistics | None) -> Iterator[tuple[str, str]]:
    if statistics is None:
        return
    about = (
        "about " if statistics.too_long and not statistics.exact else ""
    )  # no longest comment is too long, so the count of 0 is exact
    yield "longest comment with prompt and answer, tokens", f"{statistics.longest:,}"
    left_out = " (left out)" if statistics.too_long and statistics.left_out else ""
    yield f"longer than train.max_length ({statistics.limit:,} tokens)", f"{about}{statistics.too_long:,}{left_out}"


def _align_statistic(title: str, value: str) -> str:
    return f"{title} {value:>{WIDTH - len(title) - 1}}"


def _render_costs(summary: Summary) -> Iterator[str]:
    heading = (
        "training" if summary.trained_tokens is None else f"training on {format_rounded(summary.trained_tokens)} tokens"
    )
    yield f"{heading + ', about':<34}{'devices':>9}{'time':>10}{'memory':>11}{'cost':>10}"
    for cost in summary.costs:
        devices = NONE if cost.devices is None else str(cost.devices)
        time = NONE if cost.seconds is None else format_duration(cost.seconds)
        memory = NONE if cost.memory is None else format_bytes(cost.memory)
        dollars = NONE if cost.dollars is None else format_dollars(cost.dollars)
        yield f"{cost.title:<34}{devices:>9}{time:>10}{memory:>11}{dollars:>10}"
    if summary.basis:
        yield f"({summary.basis})"


def format_languages(languages: Counter[str]) -> str:
    """Return the shares of the languages, such as `en 60%, de 40%`; comments without a language are `not named`."""
    if not any(languages):
        return "not named in the rows"
    total = languages.total()
    named = [f"{name or 'not named'} {count / total:.0%}" for name, count in languages.most_common(MAX_LANGUAGES)]
    more = len(languages) - MAX_LANGUAGES
    return ", ".join(named) + (f", {more} more" if more > 0 else "")


def format_duration(seconds: float) -> str:
    """Return seconds in the largest fitting unit: `40 s`, `12 min`, `3.5 h`, `2.1 days`.

    >>> [format_duration(seconds) for seconds in (0.2, 40, 720, 12600, 181440)]
    ['< 1 s', '40 s', '12 min', '3.5 h', '2.1 days']
    """
    if seconds < 1:
        return "< 1 s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


def format_bytes(size: int) -> str:
    """Return bytes in GiB, or in MiB if there are less than one GiB: `71.0 GiB`, `229 MiB`."""
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.0f} MiB"


def format_dollars(dollars: float) -> str:
    """Return dollars with cents: `$1.50`, `< $0.01`."""
    return f"${dollars:,.2f}" if dollars >= 0.01 else "< $0.01"


def format_rounded(count: float) -> str:
    """Return a count with three digits: `870`, `12.3 K`, `1.04 M`.

    >>> [format_rounded(count) for count in (870, 12340, 1038205, 2.5e9)]
    ['870', '12.3 K', '1.04 M', '2.5 B']
    """
    for size, unit in ((1e9, " B"), (1e6, " M"), (1e3, " K")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.0f}"


def _format_count(count: int | None) -> str:
    return NONE if count is None else f"{count:,}"
