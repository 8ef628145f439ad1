"""The rows of a mix: shares in rows and in trained tokens, weights by any name, and clear errors."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alloy.core.files import InputError, Row, find_files, is_jsonl, read_jsonl
from alloy.formats.general import CUSTOMER
from alloy.mixing.mixture import ALL_GENERAL, BLOCK, RowSizes, draw_mixture, group_kinds
from alloy.mixing.nova_names import NOVA_MIX
from alloy.mixing.proportional_sampler import DrawnRow
from alloy.mixing.settings import Budget, General, Mix, Unit
from alloy.modeling.chat_examples import AssistantTurns, count_tokens
from alloy.training.packing import IGNORED, tokenize_rows
from alloy.training.tiny_qwen import new_tokenizer
from hostile_comments import HOSTILE
from mix_rows import CATEGORIES, make_chat, make_customer_rows, make_general_rows, make_row_sizes
from tiny_model import SCRATCH, make_tokenizer

SHARED = Path(__file__).parents[3] / "shared/data/general"
RATIOS = [0, 0.001, 0.05, 0.1, 0.25, 1 / 3, 0.5, 0.75, 0.9]
TOKENS = [Unit.tokens, Unit.loss_tokens]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer()


def list_ids(part: RowSizes, drawn: list[DrawnRow]) -> list[str]:
    return [part.row_index.read_row(row.index)["id"] for row in drawn]


def sum_sizes(drawn: list[DrawnRow]) -> int:
    return sum(row.size for row in drawn)


def fail_mix(mix: Mix, customer: list[Row], general: list[Row]) -> str:
    with pytest.raises(InputError) as caught:
        draw_mixture(mix, make_row_sizes(customer), make_row_sizes(general))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def read_proposed_number(message: str) -> float:
    """Return the number that an error proposes: the first number in its fix."""
    found = re.search(r"\d+(\.\d+)?", message.rpartition(";")[2])
    assert found
    return float(found[0])


# Sizes


def test_a_row_counts_as_many_tokens_as_training_sees(tokenizer) -> None:
    rows = [*make_general_rows(40), *(make_chat(f"h{n}", "s", "c") for n in range(1))]
    rows += [
        {**rows[0], "id": f"x{n}", "messages": [{"role": "user", "content": text or "?"}, *rows[0]["messages"][1:]]}
        for n, text in enumerate(HOSTILE)
    ]
    seen = tokenize_rows(rows, tokenizer)
    expected = [
        (len(ids), sum(label != IGNORED for label in labels))
        for ids, labels in zip(seen["input_ids"], seen["labels"], strict=True)
    ]
    assert count_tokens(rows, tokenizer, AssistantTurns.all).tolist() == [list(pair) for pair in expected]
    counted = make_row_sizes(rows, Unit.tokens, tokenizer)
    order = np.random.default_rng(0).permutation(len(rows))
    assert counted.count_row_tokens(order).tolist() == [list(expected[location]) for location in order]
    assert dict(counted.measure_rows(order)) == {location: expected[location][0] for location in range(len(rows))}
    assert dict(make_row_sizes(rows, Unit.loss_tokens, tokenizer).measure_rows(order)) == {
        location: expected[location][1] for location in range(len(rows))
    }


def test_rows_have_the_same_tokens_alone_and_in_a_block(tokenizer) -> None:
    rows = make_general_rows(30)
    apart = [count_tokens([row], tokenizer, AssistantTurns.all)[0].tolist() for row in rows]
    assert count_tokens(rows, tokenizer, AssistantTurns.all).tolist() == apart


def test_no_rows_have_no_tokens(tokenizer) -> None:
    assert make_row_sizes([], Unit.tokens, tokenizer).count_row_tokens(np.empty(0, np.int64)).tolist() == []


def test_rows_have_size_1_if_the_unit_is_examples() -> None:
    assert list(make_row_sizes(make_general_rows(5)).measure_rows(np.array([3, 1]))) == [(3, 1), (1, 1)]


# Rows that are too long


def count_lengths(rows: list[Row], tokenizer: Any) -> dict[str, int]:
    return {row["id"]: count_tokens([row], tokenizer, AssistantTurns.all)[0][0] for row in rows}


def make_long_customers(count: int) -> list[Row]:
    """Return customer rows of which two in three are long."""
    return [make_chat(f"c{number}", CUSTOMER, CUSTOMER, 60 if number % 3 else 3) for number in range(count)]


LIMIT = 100


@pytest.mark.parametrize("unit", list(Unit))
@pytest.mark.parametrize(
    "mix", [{"ratio": 0.4}, {"ratio": 0.4, "budget": Budget.total}, {"ratio": 0.75, "repeat": True}]
)
def test_share_unit_and_budget_hold_for_the_rows_that_fit(unit: Unit, mix: Row, tokenizer) -> None:
    total_of = {Unit.examples: 80, Unit.tokens: 4000, Unit.loss_tokens: 800}[unit]
    mix = Mix(unit=unit, total=total_of if "budget" in mix else None, **mix)
    customer_rows, general_rows = make_long_customers(300), make_general_rows(900)
    parts = [make_row_sizes(rows, unit, tokenizer, max_length=LIMIT) for rows in (customer_rows, general_rows)]
    kept, found = draw_mixture(mix, *parts)
    long = count_lengths([*customer_rows, *general_rows], tokenizer)
    taken = [*list_ids(parts[0], kept), *list_ids(parts[1], found)]
    assert max(long[identity] for identity in taken) <= LIMIT
    assert sum_sizes(found) / (sum_sizes(found) + sum_sizes(kept)) == pytest.approx(mix.ratio, abs=0.005)
    if mix.total:
        assert sum_sizes(found) + sum_sizes(kept) == pytest.approx(mix.total, rel=0.01)
    else:
        assert list_ids(parts[0], kept) == [row["id"] for row in customer_rows if long[row["id"]] <= LIMIT]
    assert parts[0].count_too_long() == {CUSTOMER: 200}


def test_rows_that_fit_are_drawn_as_if_the_others_did_not_exist(tokenizer) -> None:
    customer_rows, general_rows = make_long_customers(60), make_general_rows(300)
    long = count_lengths([*customer_rows, *general_rows], tokenizer)
    mix = Mix(ratio=0.5)
    parts = [make_row_sizes(rows, mix.unit, tokenizer, max_length=70) for rows in (customer_rows, general_rows)]
    short = [
        make_row_sizes([row for row in rows if long[row["id"]] <= 70], mix.unit, tokenizer)
        for rows in (customer_rows, general_rows)
    ]
    assert [list_ids(*pair) for pair in zip(parts, draw_mixture(mix, *parts), strict=True)] == [
        list_ids(*pair) for pair in zip(short, draw_mixture(mix, *short), strict=True)
    ]


def test_only_the_general_rows_that_drawing_looks_at_are_measured(tokenizer) -> None:
    parts = [
        make_row_sizes(rows, Unit.examples, tokenizer, max_length=70)
        for rows in (make_customer_rows(30), make_general_rows(3000))
    ]
    draw_mixture(Mix(ratio=0), *parts)
    assert (parts[1].counts < 0).all()
    draw_mixture(Mix(ratio=0.5), *parts)
    assert 30 <= (parts[1].counts[:, 0] >= 0).sum() <= BLOCK
    assert sum(parts[1].count_too_long().values()) == (parts[1].counts[:, 0] > 70).sum() > 0


def test_with_stop_the_error_names_the_longest_row(tokenizer) -> None:
    customer_rows = [*make_long_customers(30), make_chat("longest", CUSTOMER, CUSTOMER, 90)]
    length = count_lengths(customer_rows, tokenizer)["longest"]
    with pytest.raises(
        InputError, match=rf"^train\.max_length: at least 21 rows .* {LIMIT} .*'longest' of customer .*\b{length}\b"
    ):
        draw_mixture(
            Mix(),
            make_row_sizes(customer_rows, Unit.examples, tokenizer, max_length=LIMIT, stop=True),
            make_row_sizes([]),
        )
    with pytest.raises(InputError, match=rf"^train\.max_length: .*\b1\b.*\b{LIMIT}\b.*'g' "):
        draw_mixture(
            Mix(ratio=0.5),
            make_row_sizes(make_customer_rows(5), Unit.examples, tokenizer, max_length=LIMIT, stop=True),
            make_row_sizes([make_chat("g", "made", "chat", 90)], Unit.examples, tokenizer, max_length=LIMIT, stop=True),
        )


def test_customer_rows_that_are_all_too_long_are_an_error_of_one_line(tokenizer) -> None:
    with pytest.raises(InputError, match=r"^train\.max_length: .*\b5\b.*\b20\b"):
        draw_mixture(
            Mix(), make_row_sizes(make_customer_rows(5), Unit.examples, tokenizer, max_length=20), make_row_sizes([])
        )


def test_too_few_rows_that_fit_name_how_many_are_too_long(tokenizer) -> None:
    general_rows = [make_chat(f"g{number}", "made", "chat", 90 if number % 2 else 3) for number in range(40)]
    with pytest.raises(
        InputError, match=r"^params\.yaml: mix\.ratio: 0\.5 .*\b30\b.*\b20\b.*\b20\b.*train\.max_length"
    ):
        draw_mixture(
            Mix(ratio=0.5),
            make_row_sizes(make_customer_rows(30), Unit.examples, tokenizer),
            make_row_sizes(general_rows, Unit.examples, tokenizer, max_length=LIMIT),
        )


# Shares


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("count", [1, 7, 100])
def test_the_share_is_within_one_row_of_the_ratio(count: int, ratio: float) -> None:
    customer, general = draw_mixture(
        Mix(ratio=ratio), make_row_sizes(make_customer_rows(count)), make_row_sizes(make_general_rows(1000))
    )
    assert abs(len(general) - ratio * (len(general) + count)) < 1
    assert [row.index for row in customer] == list(range(count))


@pytest.mark.parametrize("unit", TOKENS)
def test_the_share_of_tokens_is_within_a_thousandth_of_the_ratio(unit: Unit, tokenizer) -> None:
    customer, general = (
        make_row_sizes(make_customer_rows(1500), unit, tokenizer),
        make_row_sizes(make_general_rows(2500), unit, tokenizer),
    )
    for ratio in (0.05, 0.1, 0.25, 1 / 3, 0.5):
        kept, found = draw_mixture(Mix(ratio=ratio, unit=unit), customer, general)
        achieved = sum_sizes(found) / (sum_sizes(found) + sum_sizes(kept))
        assert abs(achieved - ratio) <= 0.001 * ratio
        assert len({row.index for row in found}) == len(found)


@pytest.mark.parametrize("unit", TOKENS)
def test_the_share_of_real_tokens_is_within_a_thousandth_of_the_ratio(unit: Unit) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: real general data cannot be mixed")
    rows = [row for file in find_files(SHARED, is_jsonl, "no file") for row in read_jsonl(file)][::41]
    tokenizer = new_tokenizer([turn["content"] for row in rows[:300] for turn in row["messages"]], SCRATCH)
    customer, general = make_row_sizes(make_customer_rows(3000), unit, tokenizer), make_row_sizes(rows, unit, tokenizer)
    runs = []
    for ratio in (0.1, 0.25, 0.5):
        kept, found = draw_mixture(Mix(ratio=ratio, unit=unit), customer, general)
        assert abs(sum_sizes(found) / (sum_sizes(found) + sum_sizes(kept)) - ratio) <= 0.001
        runs.append({row.index for row in found})
        seen = tokenize_rows([general.row_index.read_row(row.index) for row in found], tokenizer)
        counted = (
            seen["input_ids"]
            if unit is Unit.tokens
            else [[label for label in labels if label != IGNORED] for labels in seen["labels"]]
        )
        assert [len(row) for row in counted] == [row.size for row in found]
    assert runs[0] < runs[1] < runs[2]


def test_a_ratio_of_0_gives_only_the_customer_rows() -> None:
    customer, general = draw_mixture(
        Mix(), make_row_sizes(make_customer_rows(10)), make_row_sizes(make_general_rows(30))
    )
    assert (len(customer), general) == (10, [])
    assert len(draw_mixture(Mix(), make_row_sizes(make_customer_rows(10)), make_row_sizes([]))[0]) == 10


@pytest.mark.parametrize("repeat", [False, True])
@pytest.mark.parametrize("unit", list(Unit))
def test_a_ratio_of_1_gives_all_general_rows_once_and_no_others(unit: Unit, repeat: bool, tokenizer) -> None:
    mix = Mix(ratio=1, unit=unit, repeat=repeat)
    customer, general = draw_mixture(
        mix,
        make_row_sizes(make_customer_rows(10), unit, tokenizer),
        make_row_sizes(make_general_rows(30), unit, tokenizer),
    )
    assert customer == []
    assert sorted(row.index for row in general) == list(range(30))


def test_a_ratio_of_1_keeps_the_weights_and_ends_when_a_source_runs_out() -> None:
    mix = Mix(ratio=1, sources={"math": 1.0, "code": 2.0}, repeat=True)
    general = make_row_sizes(make_general_rows(90))
    counts = Counter(
        general.row_index.read_row(row.index)["category"]
        for row in draw_mixture(mix, make_row_sizes(make_customer_rows(5)), general)[1]
    )
    assert counts["code"] == 30
    assert abs(counts["math"] - 15) <= 1


def test_a_ratio_near_1_keeps_the_customer_rows() -> None:
    customer, general = draw_mixture(
        Mix(ratio=0.999), make_row_sizes(make_customer_rows(1)), make_row_sizes(make_general_rows(1000))
    )
    assert (len(customer), len(general)) == (1, 999)
    message = fail_mix(Mix(ratio=0.999999), make_customer_rows(1), make_general_rows(1000))
    assert message.startswith("params.yaml: mix.ratio: 0.999999 ")
    assert re.findall(r"\b\d+\b", message.partition(";")[0])[2:] == ["999999", "1", "1000"]


@pytest.mark.parametrize("unit", list(Unit))
def test_a_larger_ratio_keeps_the_general_rows_of_a_smaller_ratio(unit: Unit, tokenizer) -> None:
    customer, general = (
        make_row_sizes(make_customer_rows(60), unit, tokenizer),
        make_row_sizes(make_general_rows(1500), unit, tokenizer),
    )
    runs = [
        {row.index for row in draw_mixture(Mix(ratio=ratio, unit=unit), customer, general)[1]}
        for ratio in (0.1, 0.25, 0.5, 1)
    ]
    assert runs[0] < runs[1] < runs[2] < runs[3]


# Budgets


@pytest.mark.parametrize("ratio", [*RATIOS, 1])
def test_a_total_holds_for_any_ratio(ratio: float) -> None:
    mix = Mix(ratio=ratio, budget=Budget.total, total=80)
    customer, general = draw_mixture(
        mix, make_row_sizes(make_customer_rows(100)), make_row_sizes(make_general_rows(100))
    )
    assert len(customer) + len(general) == 80
    assert abs(len(general) - 80 * ratio) <= 0.5


@pytest.mark.parametrize("unit", TOKENS)
def test_a_total_of_tokens_holds_for_any_ratio(unit: Unit, tokenizer) -> None:
    customer, general = (
        make_row_sizes(make_customer_rows(1200), unit, tokenizer),
        make_row_sizes(make_general_rows(1000), unit, tokenizer),
    )
    for ratio in (0.1, 0.25, 0.5, 0.75):
        mix = Mix(ratio=ratio, unit=unit, budget=Budget.total, total=9000)
        kept, found = draw_mixture(mix, customer, general)
        assert abs(sum_sizes(kept) + sum_sizes(found) - 9000) <= max(row.size for row in kept)  # all are of that size
        assert abs(sum_sizes(found) - 9000 * ratio) <= 0.001 * 9000


def test_a_larger_total_keeps_the_customer_rows_of_a_smaller_total_in_order() -> None:
    customer, general = make_row_sizes(make_customer_rows(100)), make_row_sizes(make_general_rows(100))
    small, large = (
        [row.index for row in draw_mixture(Mix(ratio=0.25, budget=Budget.total, total=total), customer, general)[0]]
        for total in (40, 80)
    )
    assert set(small) < set(large)
    assert small == sorted(small)
    assert large == sorted(large)


def test_a_total_that_needs_more_customer_rows_needs_repeats() -> None:
    mix = Mix(ratio=0.5, budget=Budget.total, total=30)
    message = fail_mix(mix, make_customer_rows(10), make_general_rows(100))
    assert message.startswith("params.yaml: mix.total: 30 ")
    assert re.findall(r"\d+", message) == ["30", "15", "10", "20"]
    assert "mix.repeat: true" in message
    customer, general = draw_mixture(
        Mix(ratio=0.5, budget=Budget.total, total=30, repeat=True),
        make_row_sizes(make_customer_rows(10)),
        make_row_sizes(make_general_rows(100)),
    )
    assert [row.index for row in customer[:10]] == list(range(10))
    assert [row.repetition for row in customer] == [0] * 10 + [1] * 5
    assert not any(row.repetition for row in general)


# Too few


def test_too_little_general_data_names_the_largest_possible_ratio() -> None:
    message = fail_mix(Mix(ratio=0.5), make_customer_rows(300), make_general_rows(100))
    assert message.startswith("params.yaml: mix.ratio: 0.5 ")
    assert re.findall(r"\d[\d.]*\d", message) == ["0.5", "300", "300", "100", "0.25"]
    assert "mix.repeat: true" in message


def test_too_few_answers_of_the_base_model_name_the_setting_to_raise() -> None:
    assert "rehearse.rows" in fail_mix(
        Mix(ratio=0.5, general=General.self), make_customer_rows(9), make_general_rows(3)
    )


def test_a_ratio_that_needs_every_general_row_is_met() -> None:
    assert (
        len(
            draw_mixture(
                Mix(ratio=0.25), make_row_sizes(make_customer_rows(300)), make_row_sizes(make_general_rows(100))
            )[1]
        )
        == 100
    )


@pytest.mark.parametrize(("customer", "general"), [(24, 11), (300, 7), (7, 300), (100, 0), (61, 60)])
def test_the_proposed_ratio_is_possible(customer: int, general: int) -> None:
    named = read_proposed_number(fail_mix(Mix(ratio=0.99), make_customer_rows(customer), make_general_rows(general)))
    assert named < 0.99
    draw_mixture(
        Mix(ratio=named), make_row_sizes(make_customer_rows(customer)), make_row_sizes(make_general_rows(general))
    )


@pytest.mark.parametrize(("customer", "general"), [(24, 11), (300, 7), (7, 300), (5, 5)])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_the_proposed_total_is_possible(customer: int, general: int, ratio: float) -> None:
    mix = Mix(ratio=ratio, budget=Budget.total, total=500)
    drawn, errors = ([], []), 0
    while not any(drawn):
        try:
            drawn = draw_mixture(
                mix, make_row_sizes(make_customer_rows(customer)), make_row_sizes(make_general_rows(general))
            )
        except InputError as few:
            mix = mix.model_copy(update={"total": int(read_proposed_number(str(few)))})
            errors += 1
    assert errors in (1, 2)  # too few customers, too few general rows, or both
    assert sum(map(len, drawn)) == mix.total


def test_a_mistyped_total_raises_before_it_fills_the_memory() -> None:
    mix = Mix(ratio=0.25, budget=Budget.total, total=10**23, repeat=True)
    message = fail_mix(mix, make_customer_rows(10), make_general_rows(10))
    assert message.startswith(f"params.yaml: mix.total: {10**23} ")
    assert re.findall(r"\d+", message.partition(" customer ")[2]) == ["1000", "100", "1333"]
    mix = Mix(ratio=0.999, repeat=True)
    message = fail_mix(mix, make_customer_rows(10), make_general_rows(10))
    assert message.startswith("params.yaml: mix.ratio: 0.999 ")
    assert re.findall(r"\d[\d.]*", message.partition(" customer ")[2]) == ["1000", "100", "0.99"]


def test_the_error_does_not_suggest_to_repeat_if_there_are_no_rows() -> None:
    assert "repeat" not in fail_mix(Mix(ratio=0.5, repeat=True), make_customer_rows(5), [])
    assert "repeat" not in fail_mix(Mix(ratio=0.5, budget=Budget.total, total=9, repeat=True), [], make_general_rows(5))


@pytest.mark.parametrize("unit", TOKENS)
def test_the_proposed_ratio_of_tokens_is_possible(unit: Unit, tokenizer) -> None:
    customer, general = (
        make_row_sizes(make_customer_rows(100), unit, tokenizer),
        make_row_sizes(make_general_rows(20), unit, tokenizer),
    )
    with pytest.raises(InputError) as caught:
        draw_mixture(Mix(ratio=0.9, unit=unit), customer, general)
    assert f"general {unit.value.replace('_', ' ')} " in str(caught.value)
    named = read_proposed_number(str(caught.value))
    assert draw_mixture(Mix(ratio=named, unit=unit), customer, general)[1]


def test_ratio_1_without_general_rows_names_the_ratio() -> None:
    assert fail_mix(Mix(ratio=1), make_customer_rows(5), []).startswith("params.yaml: mix.ratio: 1.0 ")


def test_a_total_below_the_size_of_every_row_names_the_total(tokenizer) -> None:
    sizes = [make_row_sizes(make(5), Unit.tokens, tokenizer) for make in (make_customer_rows, make_general_rows)]
    mix = Mix(ratio=0.5, unit=Unit.tokens, budget=Budget.total, total=2)
    with pytest.raises(InputError, match=r"^params\.yaml: mix\.total: .*\b2 tokens; raise mix\.total$"):
        draw_mixture(mix, *sizes)


def test_rows_are_repeated_only_if_needed_and_counted() -> None:
    general = make_row_sizes(make_general_rows(10))
    found = draw_mixture(Mix(ratio=0.5, repeat=True), make_row_sizes(make_customer_rows(25)), general)[1]
    assert Counter(row.repetition for row in found) == {0: 10, 1: 10, 2: 5}
    assert not any(
        row.repetition
        for row in draw_mixture(Mix(ratio=0.25, repeat=True), make_row_sizes(make_customer_rows(25)), general)[1]
    )


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
    assert group_kinds({}, KINDS) == ({ALL_GENERAL: 1.0}, {ALL_GENERAL: [0, 1, 2, 3, 4, 5]})


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
def test_a_name_is_a_source_a_category_or_a_name_of_nova(name: str, numbers: list[int]) -> None:
    assert group_kinds({name: 3.0}, KINDS) == ({name: 3.0}, {name: numbers})


def test_weights_of_names_of_one_category_add_up() -> None:
    weights, groups = group_kinds({"math": 1.0, "chat": 4.0, "reasoning-math": 2.0}, KINDS)
    assert weights == {"math": 3.0, "chat": 4.0}
    assert groups == {"math": [0], "chat": [5]}


def test_names_that_look_the_same_are_one_name() -> None:
    kinds = [("s", "Caf\u00e9", None), ("s", "Cafe\u0301", None), ("s", " Caf\u00e9\u200b", None), ("s", "x", None)]
    weights, groups = group_kinds({"Cafe\u0301": 1.0, "Caf\u00e9\u200b": 2.0, "x ": 1.0}, kinds)
    assert weights == {"Caf\u00e9": 3.0, "x": 1.0}
    assert groups == {"Caf\u00e9": [0, 1, 2], "x": [3]}


def test_a_nova_name_for_many_categories_leaves_out_separately_named_ones() -> None:
    assert group_kinds({"baseline": 10.0, "rag": 1.0}, KINDS)[1] == {"baseline": [3], "rag": [4]}
    assert group_kinds({"baseline": 10.0, "rag": 0.0}, KINDS)[1]["baseline"] == [3]


def test_rows_of_a_name_with_weight_0_are_in_no_group() -> None:
    assert group_kinds({"math": 1.0, "gsm8k": 0.0}, [*KINDS, ("x", "math", None)])[1]["math"] == [len(KINDS)]


def test_the_nova_mix_works_without_the_names_that_have_no_rows() -> None:
    kinds = [*KINDS, ("x", "factuality", None), ("x", "instruction-following", None), ("x", "stem", None)]
    with pytest.raises(InputError) as caught:
        group_kinds(NOVA_MIX, kinds)
    message = str(caught.value).partition(";")[0]
    absent = [name for name in NOVA_MIX if re.search(rf"[ ,]{name}(,|$)", message)]
    weights, groups = group_kinds({name: weight for name, weight in NOVA_MIX.items() if name not in absent}, kinds)
    assert "agents" in absent
    assert all(groups[name] for name in weights)
    assert weights["math"] == NOVA_MIX["math"] + NOVA_MIX["reasoning-math"]


def test_names_without_rows_are_listed_with_the_names_that_have_rows() -> None:
    with pytest.raises(InputError) as caught:
        group_kinds({"math": 1.0, "maths": 1.0, "agents": 2.0, "physics": 0.0}, KINDS)
    found, _, fix = str(caught.value).partition(";")
    assert found.startswith("params.yaml: mix.sources: ")
    assert found.endswith(" maths, agents")
    assert fix.endswith(" chat, classification, code, gsm8k, math, mbpp, oasst, p3, reading-comprehension")


def test_two_names_that_share_rows_are_both_named() -> None:
    with pytest.raises(InputError) as caught:
        group_kinds({"gsm8k": 1.0, "code": 1.0}, KINDS)
    assert re.search(r"^params\.yaml: mix\.sources: gsm8k and code .*source gsm8k .*category code\b", str(caught.value))
    assert group_kinds({"gsm8k": 1.0, "code": 0.0}, KINDS)[0] == {"gsm8k": 1.0, "code": 0.0}


@pytest.mark.parametrize("unit", list(Unit))
@pytest.mark.parametrize(
    "sources", [{"math": 1.0, "code": 3.0}, {"math": 1e9, "code": 1e9}, {"math": 1.0, "chat": 0.0}]
)
def test_the_general_part_is_shared_by_the_weights(sources: dict[str, float], unit: Unit, tokenizer) -> None:
    mix = Mix(ratio=0.4, unit=unit, sources=sources)
    general = make_row_sizes(make_general_rows(1200), unit, tokenizer)
    found = draw_mixture(mix, make_row_sizes(make_customer_rows(200), unit, tokenizer), general)[1]
    got: Counter[str] = Counter()
    for row in found:
        got[general.row_index.read_row(row.index)["category"]] += row.size
    largest = max(row.size for row in found)
    for name in CATEGORIES:
        expected = sum_sizes(found) * sources.get(name, 0.0) / sum(sources.values())
        assert abs(got[name] - expected) <= (1 if unit is Unit.examples else largest), name


def test_a_source_that_runs_out_is_named_and_can_be_repeated() -> None:
    rows = [*make_general_rows(300), *(make_chat(f"r{n}", "rare", "rare") for n in range(5))]
    sources = {"math": 1.0, "rare": 1.0}
    assert re.search(
        r"^params\.yaml: mix\.sources\.rare: .*\b1\d of 40 ",
        fail_mix(Mix(ratio=0.5, sources=sources), make_customer_rows(40), rows),
    )
    general = make_row_sizes(rows)
    found = draw_mixture(Mix(ratio=0.5, sources=sources, repeat=True), make_row_sizes(make_customer_rows(40)), general)[
        1
    ]
    assert Counter(general.row_index.read_row(row.index)["category"] for row in found) == {"math": 20, "rare": 20}
    assert sum(row.repetition > 0 for row in found) == 15


def test_customer_rows_are_not_a_general_source() -> None:
    message = fail_mix(Mix(ratio=0.5, sources={CUSTOMER: 1.0}), make_customer_rows(4), make_general_rows(9))
    assert message.startswith("params.yaml: mix.sources: ")
    assert CUSTOMER in message.partition(";")[0]
