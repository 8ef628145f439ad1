"""Each kind of mistake is recognized, and examples are drawn by the hash of their ids."""

from alloy.comparison.error_analysis import classify_mistake, list_mistakes

A, B, PRICE = ("Setup", "Pairing"), ("Setup", "Manual"), ("Price", "High")


def make_row(identity: str, *paths: tuple[str, str], valid: bool = True) -> dict:
    segments = [{"L1": first, "L2": second} for first, second in paths]
    return {"id": identity, "text": f"text {identity}", "segments": segments, "valid": valid, "raw": "raw"}


def test_right_labels_in_any_order_are_not_a_mistake() -> None:
    assert classify_mistake([A, B], [B, A], valid=True) is None


def test_each_kind_of_mistake_is_recognized() -> None:
    assert classify_mistake([A], [], valid=False) == "invalid"
    assert classify_mistake([A, PRICE], [A], valid=True) == "missed"
    assert classify_mistake([A], [A, A], valid=True) == "extra"
    assert classify_mistake([A, PRICE], [B, PRICE], valid=True) == "leaf"
    assert classify_mistake([A], [PRICE], valid=True) == "branch"


def test_a_label_of_another_branch_makes_the_mistake_a_branch_mistake() -> None:
    assert classify_mistake([A, A], [B, PRICE], valid=True) == "branch"


def test_the_most_frequent_kind_comes_first_and_has_the_count_of_all_rows() -> None:
    gold = [make_row(str(number), A) for number in range(9)]
    predicted = [
        make_row(str(number), *([PRICE] if number < 5 else [A, B] if number < 7 else [A])) for number in range(9)
    ]
    mistakes = list_mistakes(gold, predicted, ["L1", "L2"], max_examples=2)
    assert [(kind["kind"], kind["count"], len(kind["examples"])) for kind in mistakes] == [
        ("branch", 5, 2),
        ("extra", 2, 2),
    ]


def test_examples_do_not_depend_on_the_order_of_the_file() -> None:
    gold = [make_row(str(number), A) for number in range(9)]
    predicted = [make_row(str(number), PRICE) for number in range(9)]
    forward, backward = (
        list_mistakes(gold[::step], predicted[::step], ["L1", "L2"], max_examples=3) for step in (1, -1)
    )
    assert forward == backward


def test_a_repeated_label_is_right_once_per_match() -> None:
    (kind,) = list_mistakes([make_row("1", A)], [make_row("1", A, A)], ["L1", "L2"], max_examples=1)
    (example,) = kind["examples"]
    assert [label["right"] for label in example["predicted"]] == [True, False]
    assert [label["right"] for label in example["gold"]] == [True]


def test_without_mistakes_there_is_nothing_to_show() -> None:
    assert list_mistakes([make_row("1", A)], [make_row("1", A)], ["L1", "L2"], max_examples=3) == []
