"""The shortlist starts with the leaf of the most similar other training comment, in any language."""

import random
from typing import Any

import pytest

from alloy.formats.taxonomy import Taxonomy
from alloy.labeling.shortlist import BLOCK, Shortlist

LEAVES = {
    ("Setup", "Pairing"): "Bluetooth does not connect",
    ("Setup", "Manual"): "The instructions are hard to read",
    ("Price", "Expensive"): "It costs too much",
    ("Power", "Battery"): "It runs down",
    ("Power", "Cable"): "",
}
TAXONOMY = Taxonomy(("L1", "L2"), LEAVES)


def make_row(identity: str, text: str, *paths: tuple[str, str]) -> dict[str, Any]:
    return {"id": identity, "text": text, "segments": [dict(zip(TAXONOMY.levels, path, strict=True)) for path in paths]}


TRAIN = [
    make_row("a", "My phone cannot find the lock.", ("Setup", "Pairing")),
    make_row("b", "Zu teuer für das, was es kann.", ("Price", "Expensive")),
    make_row("c", "电池两天就没电了。", ("Power", "Battery")),
    make_row("d", "説明書が小さすぎて読めない。", ("Setup", "Manual")),
    make_row("e", "สายชาร์จสั้นเกินไป", ("Power", "Cable")),
    make_row("f", "Dear, and its wire broke.", ("Price", "Expensive"), ("Power", "Cable")),
]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("Why can my phone not find this lock?", ("Setup", "Pairing")),
        ("Viel zu teuer!", ("Price", "Expensive")),
        ("新电池一天就没电了", ("Power", "Battery")),
        ("字が小さすぎて説明書を読めない", ("Setup", "Manual")),
        ("สายชาร์จสั้นมาก", ("Power", "Cable")),
        ("The bluetooth fails", ("Setup", "Pairing")),
    ],
)
def test_the_leaf_of_a_similar_comment_comes_first(text: str, path: tuple[str, str]) -> None:
    assert Shortlist(TAXONOMY, TRAIN).find_nearest([make_row("x", text)], 1) == [[path]]


def test_all_leaves_of_a_similar_comment_come_before_others() -> None:
    (leaves,) = Shortlist(TAXONOMY, TRAIN).find_nearest([make_row("x", "Dear, and its wire broke!")], 2)
    assert set(leaves) == {("Price", "Expensive"), ("Power", "Cable")}


def test_a_training_comment_does_not_find_itself() -> None:
    row = make_row("x", "Xylophone quartz jumble.", ("Power", "Cable"))
    shortlist = Shortlist(TAXONOMY, [*TRAIN, row])
    assert shortlist.find_nearest([{**row, "id": "another"}], 1) == [[("Power", "Cable")]]
    assert shortlist.find_nearest([row], 1) == [[next(iter(LEAVES))]]


def test_a_training_comment_finds_its_copy() -> None:
    copies = [make_row(name, "Xylophone quartz jumble.", ("Power", "Cable")) for name in ("one", "two")]
    assert Shortlist(TAXONOMY, [*TRAIN, *copies]).find_nearest(copies, 1) == [[("Power", "Cable")]] * 2


def test_a_comment_without_a_similar_comment_has_the_leaves_in_their_order() -> None:
    assert Shortlist(TAXONOMY, TRAIN).find_nearest([make_row("x", "????")], 9) == [list(LEAVES)]


def test_a_list_longer_than_the_taxonomy_is_the_whole_taxonomy() -> None:
    for leaves in Shortlist(TAXONOMY, TRAIN).find_nearest(TRAIN, 100):
        assert len(leaves) == len(LEAVES)
        assert set(leaves) == set(LEAVES)


def test_a_shorter_list_is_the_beginning_of_a_longer_one() -> None:
    shortlist = Shortlist(TAXONOMY, TRAIN)
    for short, long in zip(shortlist.find_nearest(TRAIN, 2), shortlist.find_nearest(TRAIN, 4), strict=True):
        assert short == long[:2]


def test_the_shortlist_of_a_comment_does_not_depend_on_the_others() -> None:
    rng = random.Random(0)
    words = ["lock", "phone", "battery", "teuer", "cable", "manual", "bluetooth", "wire", "read", "costs"]
    comments = [make_row(f"x{n}", " ".join(rng.choices(words, k=5))) for n in range(2 * BLOCK + 3)]
    shortlist = Shortlist(TAXONOMY, TRAIN)
    assert shortlist.find_nearest(comments, 3) == [shortlist.find_nearest([comment], 3)[0] for comment in comments]


def test_the_same_comments_make_the_same_lists() -> None:
    assert Shortlist(TAXONOMY, TRAIN).find_nearest(TRAIN, 5) == Shortlist(TAXONOMY, TRAIN).find_nearest(TRAIN, 5)


def test_no_comments_have_no_lists() -> None:
    assert Shortlist(TAXONOMY, TRAIN).find_nearest([], 5) == []


@pytest.mark.parametrize("text", ["VIEL\u00a0ZU TEU\u00adER f\u00dcr", "Viel zu teuer fu\u0308r"])
def test_a_comment_is_compared_in_normalized_form(text: str) -> None:
    leaves, other_leaves = Shortlist(TAXONOMY, TRAIN).find_nearest(
        [make_row("x", "Viel zu teuer f\u00fcr"), make_row("y", text)], 5
    )
    assert leaves == other_leaves
