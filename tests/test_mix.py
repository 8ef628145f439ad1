"""The mix: every customer row in its order, as many general rows as were asked, and the same for the same seed."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stages.experiment import LabelsAs, Prompt
from stages.general_data import CUSTOMER
from stages.mix import customer_rows, general_count, interleave, main, manifest
from stages.params import load_params
from stages.prompt import Prompts
from stages.records import InputError, read_json, read_jsonl, write_json, write_jsonl
from stages.taxonomy import Taxonomy

GOLDEN = Path(__file__).parent / "golden" / "mix.jsonl"
Row = dict[str, Any]
CATEGORIES = ("code", "math", "chat")


def customers(count: int) -> list[Row]:
    return [{"id": f"c{number}", "source": CUSTOMER, "category": CUSTOMER, "messages": []} for number in range(count)]


def generals(count: int) -> list[Row]:
    return [
        {"id": f"g{number}", "source": "made", "category": CATEGORIES[number % 3], "messages": []}
        for number in range(count)
    ]


def ids(rows: list[Row], kind: str) -> list[str]:
    return [row["id"] for row in rows if row["id"].startswith(kind)]


RATIOS = [0, 0.001, 0.05, 0.1, 0.25, 1 / 3, 0.5, 0.75, 0.9]


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("count", [1, 7, 100])
def test_the_share_is_within_one_row_of_what_was_asked(count: int, ratio: float) -> None:
    rows = interleave(customers(count), generals(1000), ratio, seed=0)
    assert abs(len(ids(rows, "g")) - ratio * len(rows)) < 1
    assert len(ids(rows, "c")) == count


def test_a_ratio_of_1_is_all_general_rows_and_no_other() -> None:
    rows = interleave(customers(10), generals(30), 1, seed=0)
    assert sorted(ids(rows, "g")) == sorted(row["id"] for row in generals(30))
    assert ids(rows, "c") == []


def test_a_ratio_of_0_is_the_customer_rows_as_they_are() -> None:
    assert interleave(customers(10), generals(30), 0, seed=0) == customers(10)


def test_no_general_row_comes_twice() -> None:
    chosen = ids(interleave(customers(100), generals(120), 0.5, seed=0), "g")
    assert len(chosen) == len(set(chosen)) == 100


def test_the_general_rows_of_a_small_ratio_are_among_those_of_a_larger_one() -> None:
    arms = [set(ids(interleave(customers(100), generals(1000), ratio, seed=0), "g")) for ratio in (*RATIOS, 1)]
    assert all(small <= large for small, large in pairwise(arms))


def test_the_general_rows_keep_their_order_from_arm_to_arm() -> None:
    small, large = (ids(interleave(customers(40), generals(200), ratio, seed=0), "g") for ratio in (0.25, 0.75))
    assert small == [identity for identity in large if identity in small]


@pytest.mark.parametrize("ratio", RATIOS)
def test_customer_rows_keep_their_order_in_every_arm(ratio: float) -> None:
    rows = interleave(customers(100), generals(1000), ratio, seed=3)
    assert ids(rows, "c") == [row["id"] for row in customers(100)]


def test_general_rows_are_spread_over_the_whole_set() -> None:
    rows = interleave(customers(1000), generals(1000), 0.5, seed=0)
    for start in range(0, 2000, 500):
        assert 180 < len(ids(rows[start : start + 500], "g")) < 320


def test_the_file_order_of_general_rows_does_not_matter() -> None:
    assert interleave(customers(20), generals(50), 0.4, 0) == interleave(customers(20), generals(50)[::-1], 0.4, 0)


def test_another_seed_chooses_and_places_otherwise() -> None:
    first, second = (interleave(customers(50), generals(200), 0.5, seed) for seed in (0, 1))
    assert set(ids(first, "g")) != set(ids(second, "g"))
    everything = [ids(interleave(customers(50), generals(50), 1, seed), "g") for seed in (0, 1)]
    assert everything[0] != everything[1]


def test_too_little_general_data_is_one_line_with_the_largest_ratio() -> None:
    with pytest.raises(InputError) as caught:
        general_count(300, 0.5, 100)
    assert str(caught.value) == (
        "params.yaml: mix.ratio: 0.5 needs 300 general rows beside 300 customer rows, there are 100; "
        "add general data or go down to 0.25"
    )


def test_the_last_general_row_can_be_asked_for() -> None:
    assert general_count(300, 0.25, 100) == 100


def test_the_ratio_that_is_named_can_be_had() -> None:
    with pytest.raises(InputError) as caught:
        general_count(24_000, 0.5, 10_383)
    named = float(str(caught.value).split("go down to ")[1])
    assert general_count(24_000, named, 10_383) <= 10_383


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_manifest_adds_up(ratio: float) -> None:
    rows = interleave(customers(40), generals(600), ratio, seed=0)
    mix = manifest(rows, ratio)["mix"]
    general = len(ids(rows, "g"))
    assert (mix["asked"], mix["rows"]) == (ratio, len(rows))
    assert sum(mix["source"].values()) == len(rows)
    assert mix["source"].get("made", 0) == general
    assert mix["achieved"] == pytest.approx(general / len(rows), abs=1e-6)


def test_a_general_source_that_calls_itself_customer_is_refused(here: Path) -> None:
    project(here, ratio=0.5, source=CUSTOMER)
    with pytest.raises(InputError, match=r"general\.jsonl:1: source 'customer' is kept for the comments"):
        main()


TAXONOMY = Taxonomy(("L1", "L2"), {("Setup", "Pairing"): ""})
BARE = {"has_content": False, "emotions": []}


def comments(count: int) -> list[Row]:
    labels = {"L1": "Setup", "L2": "Pairing"}
    return [{"id": f"c{number}", "text": f"No {number}: ¡no!", "segments": [labels]} for number in range(count)]


def test_a_comment_becomes_the_prompt_and_the_gold_answer() -> None:
    (row,) = customer_rows(comments(1), Prompts.of(Prompt(), TAXONOMY, BARE, comments(1)))
    assert (row["id"], row["source"], row["category"]) == ("c0", CUSTOMER, CUSTOMER)
    question, answer = row["messages"]
    assert question["role"] == "user"
    assert question["content"].endswith("No 0: ¡no!")
    assert answer == {"role": "assistant", "content": '[{"L1": "Setup", "L2": "Pairing"}]'}


def test_what_is_taught_is_a_code_where_labels_are_codes() -> None:
    (row,) = customer_rows(comments(1), Prompts.of(Prompt(labels=LabelsAs.code), TAXONOMY, BARE, comments(1)))
    assert row["messages"][-1]["content"] == '[{"label": "1"}]'


def test_the_examples_of_every_prompt_are_not_trained_on() -> None:
    prompts = Prompts.of(Prompt(examples=3), TAXONOMY, BARE, comments(8))
    rows = customer_rows(comments(8), prompts)
    shown = {row["id"] for row in prompts.examples}
    assert [row["id"] for row in rows] == [row["id"] for row in comments(8) if row["id"] not in shown]
    assert len(rows) == 5
    for row in rows:
        assert all(example["text"] in row["messages"][0]["content"] for example in prompts.examples)


def test_a_small_mix_is_what_it_was_before() -> None:
    rows = interleave(customers(24), generals(40), 0.25, seed=0)
    golden = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    assert [{"id": row["id"], "source": row["source"]} for row in rows] == golden


def project(folder: Path, ratio: float, general: int = 20, source: str = "made") -> None:
    """Lay out what `mix` reads: a split of six comments and some general rows."""
    (folder / "params.yaml").write_text(f"data: {{general: mine}}\nmix: {{ratio: {ratio}}}\n", encoding="utf-8")
    labels = {"L1": "Setup", "L2": "Pairing"}
    write_jsonl("data/split/train.jsonl", [{"id": f"c{n}", "text": f"No {n}!", "segments": [labels]} for n in range(6)])
    write_json("data/split/taxonomy.json", [{**labels, "description": ""}])
    write_json("data/split/task.json", {"levels": ["L1", "L2"], "leaves": 1, "has_content": False, "emotions": []})
    turns = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]
    write_jsonl(
        "data/mine/general.jsonl",
        [
            {"id": f"g{n}", "category": "math", "source": source, "lang": "en", "messages": turns}
            for n in range(general)
        ],
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stage_writes_the_mix_and_its_manifest(here: Path) -> None:
    project(here, ratio=0.4)
    main()
    rows = read_jsonl("data/mix/train.jsonl")
    assert (len(ids(rows, "c")), len(ids(rows, "g"))) == (6, 4)
    assert all(list(row) == ["id", "source", "category", "messages"] for row in rows)
    assert all(row["messages"][-1]["role"] == "assistant" for row in rows)
    mix = read_json("metrics/mix.json")["mix"]
    assert (mix["rows"], mix["source"]) == (10, {"customer": 6, "made": 4})


def test_the_same_seed_writes_the_same_bytes(here: Path) -> None:
    project(here, ratio=0.4)
    main()
    first = Path("data/mix/train.jsonl").read_bytes()
    main()
    assert Path("data/mix/train.jsonl").read_bytes() == first
    Path("params.yaml").write_text("data: {general: mine}\nmix: {ratio: 0.4}\nseed: 1\n", encoding="utf-8")
    assert load_params().seed == 1
    main()
    assert Path("data/mix/train.jsonl").read_bytes() != first


def test_a_mix_that_cannot_be_had_writes_nothing(here: Path) -> None:
    project(here, ratio=0.9)
    with pytest.raises(
        InputError, match=r"^params\.yaml: mix\.ratio: 0\.9 needs 54 general rows .* go down to 0\.769$"
    ):
        main()
    assert not Path("data/mix").exists()
    assert not Path("metrics").exists()
