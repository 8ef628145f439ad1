"""What is drawn for a mix: shares by rows and by the tokens that training sees, weights by any name, clear faults."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alloy.core.files import InputError, Row, find_files, is_jsonl, read_jsonl
from alloy.formats.general import CUSTOMER
from alloy.mixing.mixture import ALL, BLOCK, Sizes, draw, weigh
from alloy.mixing.nova_names import NOVA_MIX
from alloy.mixing.proportional_sampler import Draw
from alloy.mixing.settings import Budget, General, Mix, Unit
from alloy.modeling.chat_examples import AssistantTurns, count_tokens
from alloy.training.packing import IGNORED, tokenize_rows
from alloy.training.tiny_qwen import new_tokenizer
from hostile import HOSTILE
from pools import CATEGORIES, chat, customers, generals, sizes
from small import SCRATCH, tokenizer

SHARED = Path(__file__).parents[3] / "shared/data/general"
RATIOS = [0, 0.001, 0.05, 0.1, 0.25, 1 / 3, 0.5, 0.75, 0.9]
TOKENS = [Unit.tokens, Unit.loss_tokens]


@pytest.fixture(scope="module")
def tokens() -> Any:
    return tokenizer()


def ids(part: Sizes, drawn: list[Draw]) -> list[str]:
    return [part.pool.row(one.place)["id"] for one in drawn]


def total(drawn: list[Draw]) -> int:
    return sum(one.size for one in drawn)


def fault(mix: Mix, customer: list[Row], general: list[Row]) -> str:
    with pytest.raises(InputError) as caught:
        draw(mix, sizes(customer), sizes(general))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Sizes


def test_a_row_counts_as_many_tokens_as_training_sees(tokens) -> None:
    rows = [*generals(40), *(chat(f"h{n}", "s", "c") for n in range(1))]
    rows += [
        {**rows[0], "id": f"x{n}", "messages": [{"role": "user", "content": text or "?"}, *rows[0]["messages"][1:]]}
        for n, text in enumerate(HOSTILE)
    ]
    seen = tokenize_rows(rows, tokens)
    wanted = [
        (len(ids), sum(label != IGNORED for label in labels))
        for ids, labels in zip(seen["input_ids"], seen["labels"], strict=True)
    ]
    assert count_tokens(rows, tokens, AssistantTurns.all).tolist() == [list(pair) for pair in wanted]
    counted = sizes(rows, Unit.tokens, tokens)
    order = np.random.default_rng(0).permutation(len(rows))
    assert counted.tokens(order).tolist() == [list(wanted[place]) for place in order]
    assert dict(counted.along(order)) == {place: wanted[place][0] for place in range(len(rows))}
    assert dict(sizes(rows, Unit.loss_tokens, tokens).along(order)) == {
        place: wanted[place][1] for place in range(len(rows))
    }


def test_rows_alone_count_as_they_do_beside_others(tokens) -> None:
    rows = generals(30)
    apart = [count_tokens([row], tokens, AssistantTurns.all)[0].tolist() for row in rows]
    assert count_tokens(rows, tokens, AssistantTurns.all).tolist() == apart


def test_no_rows_have_no_tokens(tokens) -> None:
    assert sizes([], Unit.tokens, tokens).tokens(np.empty(0, np.int64)).tolist() == []


def test_rows_are_of_size_1_where_the_unit_is_examples() -> None:
    assert list(sizes(generals(5)).along(np.array([3, 1]))) == [(3, 1), (1, 1)]


# Rows that are too long


def lengths(rows: list[Row], tokens: Any) -> dict[str, int]:
    return {row["id"]: count_tokens([row], tokens, AssistantTurns.all)[0][0] for row in rows}


def long_customers(count: int) -> list[Row]:
    """Return customer rows of which two in three are long."""
    return [chat(f"c{number}", CUSTOMER, CUSTOMER, 60 if number % 3 else 3) for number in range(count)]


LIMIT = 100


@pytest.mark.parametrize("unit", list(Unit))
@pytest.mark.parametrize(
    "mix", [{"ratio": 0.4}, {"ratio": 0.4, "budget": Budget.total}, {"ratio": 0.75, "repeat": True}]
)
def test_share_unit_and_budget_hold_for_the_rows_that_fit(unit: Unit, mix: Row, tokens) -> None:
    total_of = {Unit.examples: 80, Unit.tokens: 4000, Unit.loss_tokens: 800}[unit]
    mix = Mix(unit=unit, total=total_of if "budget" in mix else None, **mix)
    own, others = long_customers(300), generals(900)
    parts = [sizes(rows, unit, tokens, max_length=LIMIT) for rows in (own, others)]
    kept, found = draw(mix, *parts)
    long = lengths([*own, *others], tokens)
    taken = [*ids(parts[0], kept), *ids(parts[1], found)]
    assert max(long[identity] for identity in taken) <= LIMIT
    assert total(found) / (total(found) + total(kept)) == pytest.approx(mix.ratio, abs=0.005)
    if mix.total:
        assert total(found) + total(kept) == pytest.approx(mix.total, rel=0.01)
    else:
        assert ids(parts[0], kept) == [row["id"] for row in own if long[row["id"]] <= LIMIT]
    assert parts[0].too_long() == {CUSTOMER: 200}


def test_rows_that_fit_are_drawn_in_the_order_that_they_would_have_alone(tokens) -> None:
    own, others = long_customers(60), generals(300)
    long = lengths([*own, *others], tokens)
    mix = Mix(ratio=0.5)
    parts = [sizes(rows, mix.unit, tokens, max_length=70) for rows in (own, others)]
    short = [sizes([row for row in rows if long[row["id"]] <= 70], mix.unit, tokens) for rows in (own, others)]
    assert [ids(*pair) for pair in zip(parts, draw(mix, *parts), strict=True)] == [
        ids(*pair) for pair in zip(short, draw(mix, *short), strict=True)
    ]


def test_only_as_many_general_rows_are_measured_as_the_draw_looks_at(tokens) -> None:
    parts = [sizes(rows, Unit.examples, tokens, max_length=70) for rows in (customers(30), generals(3000))]
    draw(Mix(ratio=0), *parts)
    assert (parts[1].counts < 0).all()
    draw(Mix(ratio=0.5), *parts)
    assert 30 <= (parts[1].counts[:, 0] >= 0).sum() <= BLOCK
    assert sum(parts[1].too_long().values()) == (parts[1].counts[:, 0] > 70).sum() > 0


def test_a_long_row_stops_if_it_is_to_and_the_longest_is_named(tokens) -> None:
    own = [*long_customers(30), chat("longest", CUSTOMER, CUSTOMER, 90)]
    length = lengths(own, tokens)["longest"]
    with pytest.raises(InputError, match=rf"^train\.max_length: 21 of 31 customer rows .* 'longest' with {length} "):
        draw(Mix(), sizes(own, Unit.examples, tokens, max_length=LIMIT, stop=True), sizes([]))
    with pytest.raises(InputError, match=r"^train\.max_length: 1 of 1 made rows .* 'g' with \d+ the most"):
        draw(
            Mix(ratio=0.5),
            sizes(customers(5), Unit.examples, tokens, max_length=LIMIT, stop=True),
            sizes([chat("g", "made", "chat", 90)], Unit.examples, tokens, max_length=LIMIT, stop=True),
        )


def test_customer_rows_that_are_all_too_long_are_one_clear_line(tokens) -> None:
    with pytest.raises(InputError, match=r"^train\.max_length: all 5 customer rows exceed 20 tokens"):
        draw(Mix(), sizes(customers(5), Unit.examples, tokens, max_length=20), sizes([]))


def test_too_few_rows_that_fit_tell_how_many_do_not(tokens) -> None:
    others = [chat(f"g{number}", "made", "chat", 90 if number % 2 else 3) for number in range(40)]
    with pytest.raises(InputError, match=r"needs 30 general rows .* are 20 \(20 rows are over train\.max_length\)"):
        draw(
            Mix(ratio=0.5),
            sizes(customers(30), Unit.examples, tokens),
            sizes(others, Unit.examples, tokens, max_length=LIMIT),
        )


# Shares


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("count", [1, 7, 100])
def test_the_share_is_within_one_row_of_what_was_asked(count: int, ratio: float) -> None:
    customer, general = draw(Mix(ratio=ratio), sizes(customers(count)), sizes(generals(1000)))
    assert abs(len(general) - ratio * (len(general) + count)) < 1
    assert [one.place for one in customer] == list(range(count))


@pytest.mark.parametrize("unit", TOKENS)
def test_the_share_of_tokens_is_within_a_thousandth_of_what_was_asked(unit: Unit, tokens) -> None:
    customer, general = sizes(customers(1500), unit, tokens), sizes(generals(2500), unit, tokens)
    for ratio in (0.05, 0.1, 0.25, 1 / 3, 0.5):
        kept, found = draw(Mix(ratio=ratio, unit=unit), customer, general)
        achieved = total(found) / (total(found) + total(kept))
        assert abs(achieved - ratio) <= 0.001 * ratio
        assert len({one.place for one in found}) == len(found)


@pytest.mark.parametrize("unit", TOKENS)
def test_the_share_of_real_tokens_is_within_a_thousandth_of_what_was_asked(unit: Unit) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: real general data cannot be mixed")
    every = [row for file in find_files(SHARED, is_jsonl, "no file") for row in read_jsonl(file)][::41]
    made = new_tokenizer([turn["content"] for row in every[:300] for turn in row["messages"]], SCRATCH)
    customer, general = sizes(customers(3000), unit, made), sizes(every, unit, made)
    arms = []
    for ratio in (0.1, 0.25, 0.5):
        kept, found = draw(Mix(ratio=ratio, unit=unit), customer, general)
        assert abs(total(found) / (total(found) + total(kept)) - ratio) <= 0.001
        arms.append({one.place for one in found})
        seen = tokenize_rows([general.pool.row(one.place) for one in found], made)
        counted = (
            seen["input_ids"]
            if unit is Unit.tokens
            else [[label for label in labels if label != IGNORED] for labels in seen["labels"]]
        )
        assert [len(row) for row in counted] == [one.size for one in found]
    assert arms[0] < arms[1] < arms[2]


def test_a_ratio_of_0_is_the_customer_rows_as_they_are() -> None:
    customer, general = draw(Mix(), sizes(customers(10)), sizes(generals(30)))
    assert (len(customer), general) == (10, [])
    assert len(draw(Mix(), sizes(customers(10)), sizes([]))[0]) == 10


@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize("unit", list(Unit))
def test_a_ratio_of_1_is_all_general_rows_once_and_no_other(unit: Unit, repeat: bool, tokens) -> None:
    mix = Mix(ratio=1, unit=unit, repeat=repeat)
    customer, general = draw(mix, sizes(customers(10), unit, tokens), sizes(generals(30), unit, tokens))
    assert customer == []
    assert sorted(one.place for one in general) == list(range(30))


def test_a_ratio_of_1_keeps_the_weights_and_ends_where_a_source_does() -> None:
    mix = Mix(ratio=1, sources={"math": 1.0, "code": 2.0}, repeat=True)
    general = sizes(generals(90))
    counts = Counter(general.pool.row(one.place)["category"] for one in draw(mix, sizes(customers(5)), general)[1])
    assert counts["code"] == 30
    assert abs(counts["math"] - 15) <= 1


def test_nearly_all_general_still_keeps_the_customer_rows() -> None:
    customer, general = draw(Mix(ratio=0.999), sizes(customers(1)), sizes(generals(1000)))
    assert (len(customer), len(general)) == (1, 999)
    assert "needs 999999 general rows beside 1 customer rows, there are 1000" in fault(
        Mix(ratio=0.999999), customers(1), generals(1000)
    )


@pytest.mark.parametrize("unit", list(Unit))
def test_the_general_rows_of_a_small_ratio_are_among_those_of_a_larger_one(unit: Unit, tokens) -> None:
    customer, general = sizes(customers(60), unit, tokens), sizes(generals(1500), unit, tokens)
    arms = [
        {one.place for one in draw(Mix(ratio=ratio, unit=unit), customer, general)[1]} for ratio in (0.1, 0.25, 0.5, 1)
    ]
    assert arms[0] < arms[1] < arms[2] < arms[3]


# Budgets


@pytest.mark.parametrize("ratio", [*RATIOS, 1])
def test_a_total_holds_whatever_the_ratio(ratio: float) -> None:
    mix = Mix(ratio=ratio, budget=Budget.total, total=80)
    customer, general = draw(mix, sizes(customers(100)), sizes(generals(100)))
    assert len(customer) + len(general) == 80
    assert abs(len(general) - 80 * ratio) <= 0.5


@pytest.mark.parametrize("unit", TOKENS)
def test_a_total_of_tokens_holds_whatever_the_ratio(unit: Unit, tokens) -> None:
    customer, general = sizes(customers(1200), unit, tokens), sizes(generals(1000), unit, tokens)
    for ratio in (0.1, 0.25, 0.5, 0.75):
        mix = Mix(ratio=ratio, unit=unit, budget=Budget.total, total=9000)
        kept, found = draw(mix, customer, general)
        assert abs(total(kept) + total(found) - 9000) <= max(one.size for one in kept)  # all are of that size
        assert abs(total(found) - 9000 * ratio) <= 0.001 * 9000


def test_customer_rows_of_a_small_total_are_among_those_of_a_larger_one_and_keep_their_order() -> None:
    customer, general = sizes(customers(100)), sizes(generals(100))
    small, large = (
        [one.place for one in draw(Mix(ratio=0.25, budget=Budget.total, total=whole), customer, general)[0]]
        for whole in (40, 80)
    )
    assert set(small) < set(large)
    assert small == sorted(small)
    assert large == sorted(large)


def test_a_total_of_more_customer_rows_than_there_are_needs_repeats() -> None:
    mix = Mix(ratio=0.5, budget=Budget.total, total=30)
    assert fault(mix, customers(10), generals(100)) == (
        "params.yaml: mix.total: 30 needs 15 customer rows, there are 10; go down to 20, or set mix.repeat: true "
        "to take them again"
    )
    customer, general = draw(
        Mix(ratio=0.5, budget=Budget.total, total=30, repeat=True), sizes(customers(10)), sizes(generals(100))
    )
    assert [one.place for one in customer[:10]] == list(range(10))
    assert [one.before for one in customer] == [0] * 10 + [1] * 5
    assert not any(one.before for one in general)


# Too few


def test_too_little_general_data_is_one_line_with_the_largest_ratio() -> None:
    assert fault(Mix(ratio=0.5), customers(300), generals(100)) == (
        "params.yaml: mix.ratio: 0.5 needs 300 general rows beside 300 customer rows, there are 100; "
        "add general data, go down to 0.25, or set mix.repeat: true to take them again"
    )


def test_too_few_of_the_bases_own_answers_name_their_own_mend() -> None:
    assert "raise rehearse.rows" in fault(Mix(ratio=0.5, general=General.self), customers(9), generals(3))


def test_the_last_general_row_can_be_asked_for() -> None:
    assert len(draw(Mix(ratio=0.25), sizes(customers(300)), sizes(generals(100)))[1]) == 100


@pytest.mark.parametrize(("customer", "general"), [(24, 11), (300, 7), (7, 300), (100, 0), (61, 60)])
def test_the_ratio_that_is_named_can_be_had(customer: int, general: int) -> None:
    told = fault(Mix(ratio=0.99), customers(customer), generals(general))
    named = float(told.split("go down to ")[1].split(",")[0])
    assert named < 0.99
    draw(Mix(ratio=named), sizes(customers(customer)), sizes(generals(general)))


@pytest.mark.parametrize(("customer", "general"), [(24, 11), (300, 7), (7, 300), (5, 5)])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_the_total_that_is_named_can_be_had(customer: int, general: int, ratio: float) -> None:
    mix = Mix(ratio=ratio, budget=Budget.total, total=500)
    both, faults = ([], []), 0
    while not any(both):
        try:
            both = draw(mix, sizes(customers(customer)), sizes(generals(general)))
        except InputError as few:
            mix = mix.model_copy(update={"total": int(str(few).split("down to ")[1].split(",")[0])})
            faults += 1
    assert faults in (1, 2)  # too few customers, too few general rows, or both
    assert sum(map(len, both)) == mix.total


def test_a_slip_in_the_total_is_told_before_it_fills_the_memory() -> None:
    mix = Mix(ratio=0.25, budget=Budget.total, total=10**23, repeat=True)
    told = fault(mix, customers(10), generals(10))
    assert told.endswith("customer rows, there are 1000, each taken 100 times; go down to 1333")
    mix = Mix(ratio=0.999, repeat=True)
    assert "there are 1000, each taken 100 times; add general data, go down to 0.99" in fault(
        mix, customers(10), generals(10)
    )


def test_where_nothing_is_there_to_be_repeated_no_repeat_is_named() -> None:
    assert "repeat" not in fault(Mix(ratio=0.5, repeat=True), customers(5), [])
    assert "repeat" not in fault(Mix(ratio=0.5, budget=Budget.total, total=9, repeat=True), [], generals(5))


@pytest.mark.parametrize("unit", TOKENS)
def test_the_ratio_of_tokens_that_is_named_can_be_had(unit: Unit, tokens) -> None:
    customer, general = sizes(customers(100), unit, tokens), sizes(generals(20), unit, tokens)
    with pytest.raises(InputError) as caught:
        draw(Mix(ratio=0.9, unit=unit), customer, general)
    assert f"general {unit.value.replace('_', ' ')} beside" in str(caught.value)
    named = float(str(caught.value).split("go down to ")[1].split(",")[0])
    assert draw(Mix(ratio=named, unit=unit), customer, general)[1]


def test_no_general_rows_at_ratio_1_are_one_clear_line() -> None:
    assert fault(Mix(ratio=1), customers(5), []) == (
        "params.yaml: mix.ratio: 1.0 leaves no row; there is no general row to take"
    )


def test_repeats_come_only_when_they_are_asked_for_and_are_counted() -> None:
    general = sizes(generals(10))
    found = draw(Mix(ratio=0.5, repeat=True), sizes(customers(25)), general)[1]
    assert Counter(one.before for one in found) == {0: 10, 1: 10, 2: 5}
    assert not any(one.before for one in draw(Mix(ratio=0.25, repeat=True), sizes(customers(25)), general)[1])


# Weights

KINDS = [
    ("gsm8k", "math", None),
    ("gsm8k", "code", None),
    ("mbpp", "code", "MIT"),
    ("p3", "classification", None),
    ("p3", "reading-comprehension", None),
    ("oasst", "chat", None),
]


def test_without_weights_all_general_rows_are_one_group() -> None:
    assert weigh({}, KINDS) == ({ALL: 1.0}, {ALL: [0, 1, 2, 3, 4, 5]})


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("gsm8k", [0, 1]),
        ("code", [1, 2]),
        ("mbpp", [2]),
        ("reasoning-math", [0]),
        ("baseline", [3, 4]),
        ("reasoning-rag", [4]),
        ("chat", [5]),
    ],
)
def test_a_name_is_that_of_a_source_of_a_category_or_novas(name: str, numbers: list[int]) -> None:
    assert weigh({name: 3.0}, KINDS) == ({name: 3.0}, {name: numbers})


def test_names_of_one_category_add_up() -> None:
    weights, groups = weigh({"math": 1.0, "chat": 4.0, "reasoning-math": 2.0}, KINDS)
    assert weights == {"math": 3.0, "chat": 4.0}
    assert groups == {"math": [0], "chat": [5]}


def test_a_name_of_novas_for_many_categories_leaves_those_that_another_names() -> None:
    assert weigh({"baseline": 10.0, "rag": 1.0}, KINDS)[1] == {"baseline": [3], "rag": [4]}
    assert weigh({"baseline": 10.0, "rag": 0.0}, KINDS)[1]["baseline"] == [3]


def test_rows_of_what_weighs_nothing_are_in_no_group() -> None:
    assert weigh({"math": 1.0, "gsm8k": 0.0}, [*KINDS, ("x", "math", None)])[1]["math"] == [len(KINDS)]


def test_novas_own_mix_is_taken_but_for_what_has_no_rows() -> None:
    every = [*KINDS, ("x", "factuality", None), ("x", "instruction-following", None), ("x", "stem", None)]
    with pytest.raises(InputError) as caught:
        weigh(NOVA_MIX, every)
    told = str(caught.value).partition("no general row is of ")[2].partition(";")[0].split(", ")
    weights, groups = weigh({name: weight for name, weight in NOVA_MIX.items() if name not in told}, every)
    assert "agents" in told
    assert all(groups[name] for name in weights)
    assert weights["math"] == NOVA_MIX["math"] + NOVA_MIX["reasoning-math"]


def test_names_without_rows_are_one_line_that_lists_those_that_have_some() -> None:
    with pytest.raises(InputError) as caught:
        weigh({"math": 1.0, "maths": 1.0, "agents": 2.0, "physics": 0.0}, KINDS)
    assert str(caught.value) == (
        "params.yaml: mix.sources: no general row is of maths, agents; leave that out, or name one of chat, "
        "classification, code, gsm8k, math, mbpp, oasst, p3, reading-comprehension"
    )


def test_two_names_that_share_rows_are_one_clear_line() -> None:
    with pytest.raises(InputError) as caught:
        weigh({"gsm8k": 1.0, "code": 1.0}, KINDS)
    assert str(caught.value) == (
        "params.yaml: mix.sources: gsm8k and code both take rows of source gsm8k and category code; name them by "
        "source or by category"
    )
    assert weigh({"gsm8k": 1.0, "code": 0.0}, KINDS)[0] == {"gsm8k": 1.0, "code": 0.0}


@pytest.mark.parametrize("unit", list(Unit))
@pytest.mark.parametrize(
    "sources", [{"math": 1.0, "code": 3.0}, {"math": 1e9, "code": 1e9}, {"math": 1.0, "chat": 0.0}]
)
def test_the_general_part_is_shared_by_the_weights(sources: dict[str, float], unit: Unit, tokens) -> None:
    mix = Mix(ratio=0.4, unit=unit, sources=sources)
    general = sizes(generals(1200), unit, tokens)
    found = draw(mix, sizes(customers(200), unit, tokens), general)[1]
    got: Counter[str] = Counter()
    for one in found:
        got[general.pool.row(one.place)["category"]] += one.size
    largest = max(one.size for one in found)
    for name in CATEGORIES:
        wanted = total(found) * sources.get(name, 0.0) / sum(sources.values())
        assert abs(got[name] - wanted) <= (1 if unit is Unit.examples else largest), name


def test_a_source_that_runs_out_is_named_and_can_be_repeated() -> None:
    rows = [*generals(300), *(chat(f"r{n}", "rare", "rare") for n in range(5))]
    sources = {"math": 1.0, "rare": 1.0}
    assert fault(Mix(ratio=0.5, sources=sources), customers(40), rows).startswith(
        "params.yaml: mix.sources.rare: its rows are used up at 1"
    )
    general = sizes(rows)
    found = draw(Mix(ratio=0.5, sources=sources, repeat=True), sizes(customers(40)), general)[1]
    assert Counter(general.pool.row(one.place)["category"] for one in found) == {"math": 20, "rare": 20}
    assert sum(one.before > 0 for one in found) == 15


def test_the_customers_are_no_general_source() -> None:
    assert "no general row is of customer" in fault(Mix(ratio=0.5, sources={CUSTOMER: 1.0}), customers(4), generals(9))
