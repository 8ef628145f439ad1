"""The mix: all customer rows in their order, the requested number of general rows, deterministic by seed."""

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from alloy.core.files import InputError, hash_path, read_json, read_jsonl, write_json, write_jsonl
from alloy.formats.general import CUSTOMER
from alloy.formats.taxonomy import Taxonomy
from alloy.labeling.prompt import Prompts
from alloy.labeling.settings import LabelFormat, Prompt, PromptTaxonomy
from alloy.mixing.customer_examples import build_customer_rows
from alloy.mixing.mixture import draw_mixture
from alloy.mixing.settings import Mix
from alloy.modeling.model_folder import write_hosted
from alloy.training.packing import IGNORED, tokenize_rows
from hostile_comments import HOSTILE
from mix_rows import make_customer_rows, make_general_rows, make_row_sizes
from stages import decontaminate
from stages.mix import interleave_rows, main
from tiny_model import make_tokenizer

GOLDEN = Path(__file__).parents[1] / "golden" / "mix.jsonl"
Row = dict[str, Any]
RATIOS = [0, 0.001, 0.05, 0.1, 0.25, 1 / 3, 0.5, 0.75, 0.9]


def run_mix(customer: list[Row], general: list[Row], ratio: float, seed: int = 0, **more: Any) -> list[Row]:
    """Return the rows of a mix in their order."""
    parts = [make_row_sizes(rows, seed=seed) for rows in (customer, general)]
    drawn = draw_mixture(Mix(ratio=ratio, **more), *parts)
    return [json.loads(line) for line in interleave_rows(parts[0], drawn[0], parts[1], drawn[1], seed)]


def list_ids(rows: list[Row], kind: str) -> list[str]:
    return [row["id"] for row in rows if row["id"].startswith(kind)]


def test_a_ratio_of_1_has_only_general_rows() -> None:
    rows = run_mix(make_customer_rows(10), make_general_rows(30), 1)
    assert sorted(list_ids(rows, "g")) == sorted(row["id"] for row in make_general_rows(30))
    assert list_ids(rows, "c") == []


def test_a_ratio_of_0_has_only_customer_rows_in_their_order() -> None:
    assert run_mix(make_customer_rows(10), make_general_rows(30), 0) == make_customer_rows(10)


def test_no_general_row_is_in_the_mix_twice() -> None:
    chosen = list_ids(run_mix(make_customer_rows(100), make_general_rows(120), 0.5), "g")
    assert len(chosen) == len(set(chosen)) == 100


def test_a_larger_ratio_keeps_the_general_rows_of_a_smaller_ratio() -> None:
    mixes = [
        set(list_ids(run_mix(make_customer_rows(100), make_general_rows(1000), ratio), "g")) for ratio in (*RATIOS, 1)
    ]
    assert all(small <= large for small, large in pairwise(mixes))


def test_general_rows_have_the_same_order_in_all_mixes() -> None:
    small, large = (
        list_ids(run_mix(make_customer_rows(40), make_general_rows(200), ratio), "g") for ratio in (0.25, 0.75)
    )
    assert small == [identity for identity in large if identity in small]


@pytest.mark.parametrize("ratio", RATIOS)
def test_customer_rows_keep_their_order_in_all_mixes(ratio: float) -> None:
    rows = run_mix(make_customer_rows(100), make_general_rows(1000), ratio, seed=3)
    assert list_ids(rows, "c") == [row["id"] for row in make_customer_rows(100)]


def test_the_position_of_a_row_depends_on_the_seed_and_not_on_weights() -> None:
    without_weights = list_ids(run_mix(make_customer_rows(40), make_general_rows(120), 0.5), "g")
    weighted = list_ids(
        run_mix(make_customer_rows(40), make_general_rows(120), 0.5, sources={"math": 2.0, "code": 1.0}), "g"
    )
    common = set(without_weights) & set(weighted)
    assert len(common) > 10
    assert [row_id for row_id in without_weights if row_id in common] == [
        row_id for row_id in weighted if row_id in common
    ]


def test_general_rows_are_spread_over_the_whole_set() -> None:
    rows = run_mix(make_customer_rows(1000), make_general_rows(1000), 0.5)
    for start in range(0, 2000, 500):
        assert 180 < len(list_ids(rows[start : start + 500], "g")) < 320


def test_repeated_rows_are_spread_over_the_whole_set() -> None:
    rows = run_mix(make_customer_rows(1000), make_general_rows(250), 0.5, repeat=True)
    assert Counter(Counter(list_ids(rows, "g")).values()) == {4: 250}
    for start in range(0, 2000, 500):
        assert 180 < len(list_ids(rows[start : start + 500], "g")) < 320


def test_the_file_order_of_general_rows_does_not_matter() -> None:
    assert run_mix(make_customer_rows(20), make_general_rows(50), 0.4) == run_mix(
        make_customer_rows(20), make_general_rows(50)[::-1], 0.4
    )


def test_another_seed_samples_and_orders_other_rows() -> None:
    first, second = (run_mix(make_customer_rows(50), make_general_rows(200), 0.5, seed) for seed in (0, 1))
    assert set(list_ids(first, "g")) != set(list_ids(second, "g"))
    everything = [list_ids(run_mix(make_customer_rows(50), make_general_rows(50), 1, seed), "g") for seed in (0, 1)]
    assert everything[0] != everything[1]


def test_a_small_mix_has_not_changed() -> None:
    rows = run_mix(make_customer_rows(24), make_general_rows(40), 0.25)
    golden = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    assert [{"id": row["id"], "source": row["source"]} for row in rows] == golden


# Customer rows

TAXONOMY = Taxonomy(("L1", "L2"), {("Setup", "Pairing"): ""})
LABELS = {"L1": "Setup", "L2": "Pairing"}
BARE = {"has_content": False, "emotions": []}


def make_comments(count: int) -> list[Row]:
    return [{"id": f"c{number}", "text": f"No {number}: ¡no!", "segments": [LABELS]} for number in range(count)]


def make_rows(prompt: Prompt, given: list[Row]) -> list[Row]:
    return build_customer_rows(Prompts.from_task(prompt, TAXONOMY, BARE, make_comments(8)), given)


def test_a_comment_becomes_the_prompt_and_the_gold_answer() -> None:
    (row,) = make_rows(Prompt(), make_comments(1))
    assert (row["id"], row["source"], row["category"]) == ("c0", CUSTOMER, CUSTOMER)
    question, answer = row["messages"]
    assert question["role"] == "user"
    assert question["content"].endswith("No 0: ¡no!")
    assert answer == {"role": "assistant", "content": '[{"L1": "Setup", "L2": "Pairing"}]'}


def test_the_answer_has_codes_if_labels_are_codes() -> None:
    (row,) = make_rows(Prompt(labels=LabelFormat.code), make_comments(1))
    assert row["messages"][-1]["content"] == '[{"label": "1"}]'


# The stage


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model folder that has only a tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "base"
    make_tokenizer().save_pretrained(folder)
    write_json(folder / "config.json", {"model_type": "qwen3"})
    return folder


def write_settings(mix: Row, train: Row | None = None, **more: Any) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({"mix": mix, **more}), encoding="utf-8")
    Path("profiles").mkdir(exist_ok=True)
    train = {"lr": 0.1, "max_length": 10_000, **(train or {})}
    Path("profiles/demo.yaml").write_text(yaml.safe_dump({"train": train}), encoding="utf-8")


def write_project(base: Path, mix: Row, texts: list[str] | None = None, general: int = 60, **more: Any) -> None:
    """Write the inputs of `mix`: a split of six comments or of these texts, some general rows, and a base model."""
    write_settings(mix, **more)
    texts = texts or [f"No {number}!" for number in range(6)]
    rows = [{"id": f"c{number}", "text": text, "segments": [LABELS]} for number, text in enumerate(texts)]
    write_jsonl("data/split/train.jsonl", rows)
    write_json("data/split/taxonomy.json", TAXONOMY.to_rows())
    write_json("data/split/task.json", {"levels": ["L1", "L2"], "leaves": 1, **BARE})
    write_json("metrics/split.json", {"split": {"rejected": 2, "left_out": 1}})
    clean = {"rejected": 3, "why": {"a run of words": 5}, "held_out": 4, "same_prompt": 1}
    write_json("metrics/decontaminate.json", {"decontaminate": clean})
    write_jsonl(
        "data/decontaminate/general.jsonl",
        [{**row, "lang": "en", "license": "MIT"} for row in make_general_rows(general)],
    )
    Path("models").mkdir(exist_ok=True)
    Path("models/base").symlink_to(base)


def read_train_rows() -> list[Row]:
    return read_jsonl("data/mix/train.jsonl")


def read_error() -> str:
    with pytest.raises(InputError) as caught:
        main()
    assert not Path("data/mix").exists(), "an error leaves nothing behind"
    assert not Path("metrics/mix.json").exists(), "an error leaves nothing behind"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_stage_writes_the_mix_its_manifest_and_its_card(project: Path, base: Path, capsys) -> None:
    write_project(base, {"ratio": 0.4})
    main()
    rows = read_train_rows()
    assert (len(list_ids(rows, "c")), len(list_ids(rows, "g"))) == (6, 4)
    assert all(list(row) == ["id", "source", "category", "messages"] for row in rows if row["source"] == CUSTOMER)
    general = {row["id"]: row for row in read_jsonl("data/decontaminate/general.jsonl")}
    assert all(row == general[row["id"]] for row in rows if row["source"] != CUSTOMER)
    assert all(row["messages"][-1]["role"] == "assistant" for row in rows)
    mix = read_json("metrics/mix.json")["mix"]
    assert (mix["asked"], mix["achieved"], mix["unit"], mix["rows"], mix["repeats"]) == (0.4, 0.4, "examples", 10, 0)
    assert {name: source["rows"] for name, source in mix["source"].items()} == {CUSTOMER: 6, "made": 4}
    card = Path("data/mix/README.md").read_text(encoding="utf-8")
    for line in (
        "| comments: bad | 2 |",
        "| comments: similar to a test comment | 1 |",
        "| comments: longer than train.max_length (10000 tokens) | 0 |",
        "| general: bad | 3 |",
        "| general: shares a run of words with a test | 5 |",
        "| general: held out for the general loss | 4 |",
        "| general: same prompt as a held-out row | 1 |",
    ):
        assert line in card
    for name in (
        "data/split/train.jsonl",
        "data/split/taxonomy.json",
        "data/decontaminate/general.jsonl",
        "models/base",
    ):
        assert f"| `{name}` | `{hash_path(Path(name))}` |" in card
    assert "| MIT |" in card
    (line,) = capsys.readouterr().out.splitlines()
    assert re.findall(r"\d[\d.]*", line) == ["10", "0.4000"]


@pytest.mark.parametrize("seed", [0, 1])
def test_rows_that_decontaminate_holds_out_are_in_no_mix(project: Path, base: Path, seed: int) -> None:
    write_project(base, {"ratio": 0.9}, seed=seed, decontaminate={"held_out": 6})
    question = {"subject": "logic", "question": "Why?", "choices": ["a", "b", "c", "d"], "answer": 0}
    for part in ("test", "dev"):
        write_jsonl(f"data/prepared/benchmark/{part}.jsonl", [question])
    write_jsonl("data/prepared/instructions/ifeval.jsonl", [{"key": 1, "prompt": "Sing of it."}])
    write_jsonl("data/split/test.jsonl", [{"id": "t0", "text": "Something else altogether.", "segments": []}])
    rows = [
        {**row, "messages": [{"role": "user", "content": f"What is {row['id']}?"}, *row["messages"][1:]]}
        for row in make_general_rows(60)
    ]
    write_jsonl("data/prepared/general/general.jsonl", rows)
    decontaminate.main()
    main()
    held_out = {row["id"] for row in read_jsonl("data/decontaminate/heldout.jsonl")}
    mixed = {row["id"] for row in read_train_rows() if row["source"] != CUSTOMER}
    assert (len(held_out), len(mixed)) == (6, 54)
    assert not held_out & mixed


@pytest.mark.parametrize("unit", ["tokens", "loss_tokens"])
def test_the_share_holds_in_the_tokens_that_training_sees(project: Path, base: Path, unit: str) -> None:
    write_project(base, {"ratio": 0.25, "unit": unit}, [*HOSTILE[1:], *(f"No {n}!" for n in range(200))], general=900)
    main()
    rows = read_train_rows()
    seen = tokenize_rows(rows, make_tokenizer())
    counts: Counter[str] = Counter()
    for row, ids_, labels in zip(rows, seen["input_ids"], seen["labels"], strict=True):
        counts[row["source"]] += len(ids_) if unit == "tokens" else sum(label != IGNORED for label in labels)
    assert abs(counts["made"] / counts.total() - 0.25) <= 0.001
    mix = read_json("metrics/mix.json")["mix"]
    assert {name: source[unit] for name, source in mix["source"].items()} == counts


def test_the_same_seed_writes_the_same_bytes(project: Path, base: Path) -> None:
    write_project(base, {"ratio": 0.4})
    written = [Path(name) for name in ("data/mix/train.jsonl", "data/mix/README.md", "metrics/mix.json")]
    main()
    first = [path.read_bytes() for path in written]
    main()
    assert [path.read_bytes() for path in written] == first
    write_settings({"ratio": 0.4}, seed=1)
    main()
    assert written[0].read_bytes() != first[0]


@pytest.mark.parametrize("prompt", [{"examples": 3}, {"taxonomy": "shortlist", "shortlist": 1, "examples": 3}])
def test_examples_in_the_prompt_are_counted_and_not_trained_on(project: Path, base: Path, prompt: Row) -> None:
    write_project(base, {"ratio": 0}, prompt=prompt)
    main()
    rows = read_train_rows()
    assert len(rows) == 3
    shown = {f"No {number}!" for number in range(6)} - {row["messages"][0]["content"].splitlines()[-1] for row in rows}
    assert all(text in row["messages"][0]["content"] for row in rows for text in shown)
    assert "| comments: in every prompt | 3 |" in Path("data/mix/README.md").read_text(encoding="utf-8")


def test_without_examples_a_prompt_equals_that_built_from_all_training_comments(project: Path, base: Path) -> None:
    write_project(base, {"ratio": 0}, prompt={"taxonomy": "full"})
    main()
    comments = read_jsonl("data/split/train.jsonl")
    expected = Prompts.from_task(Prompt(taxonomy=PromptTaxonomy.full), TAXONOMY, BARE, comments).build_messages(
        comments
    )
    assert [row["messages"][:1] for row in read_train_rows()] == expected


def test_with_general_self_the_answers_of_the_base_model_are_mixed(project: Path, base: Path) -> None:
    write_project(base, {"ratio": 0.4, "general": "self"})
    answers = [
        {**row, "messages": [row["messages"][0], {"role": "assistant", "content": "mine"}]}
        for row in make_general_rows(20)
    ]
    write_jsonl("data/rehearse/general.jsonl", answers)
    write_json("metrics/rehearse.json", {"rehearse": {"dropped": {"empty": 0, "truncated": 7}}})
    main()
    assert [row["messages"][-1]["content"] for row in read_train_rows() if row["source"] == "made"] == ["mine"] * 4
    card = Path("data/mix/README.md").read_text(encoding="utf-8")
    assert "| general: answer of the base model truncated | 7 |" in card


def test_a_mix_for_a_hosted_model_counts_examples_and_no_tokens(project: Path, base: Path) -> None:
    write_project(base, {"ratio": 0.4})
    Path("models/base").unlink()
    write_hosted(Path("models/base"), "some-model")
    write_settings({"ratio": 0.4, "unit": "tokens"})
    assert re.match(r"params\.yaml: mix\.unit: expected examples, got tokens; .*some-model", read_error())
    write_settings({"ratio": 0.4})
    main()
    assert all("tokens" not in source for source in read_json("metrics/mix.json")["mix"]["source"].values())


def test_an_impossible_mix_names_what_is_missing_and_writes_nothing(project: Path, base: Path) -> None:
    write_project(base, {"ratio": 0.9}, general=20)
    line = read_error()
    assert line.startswith("params.yaml: mix.ratio: ")
    assert all(re.search(rf"\b{re.escape(number)}\b", line) for number in ("0.9", "54", "6", "20", "0.769"))


@pytest.mark.parametrize(
    ("mix", "expected"),
    [
        ({"ratio": -0.1}, "params.yaml: mix.ratio: "),
        ({"ratio": 1.5}, "params.yaml: mix.ratio: "),
        ({"ratio": float("nan")}, "params.yaml: mix.ratio: "),
        ({"ratio": "nan"}, "params.yaml: mix.ratio: "),
        ({"ratio": 0.2, "sources": {"maths": 1}}, r"params\.yaml: mix\.sources: .*\bmaths\b"),
        ({"ratio": 0.2, "sources": {"made": 1, "math": 1}}, r"params\.yaml: mix\.sources: .*\bmade and math\b"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named_in_the_error(
    project: Path, base: Path, mix: Row, expected: str
) -> None:
    write_project(base, mix)
    assert re.match(expected, read_error())


@pytest.mark.parametrize(
    "name",
    [
        "data/split/train.jsonl",
        "data/split/task.json",
        "data/decontaminate/general.jsonl",
        "metrics/split.json",
        "metrics/decontaminate.json",
    ],
)
def test_a_missing_input_is_named_in_the_error(project: Path, base: Path, name: str) -> None:
    write_project(base, {"ratio": 0.4})
    Path(name).unlink()
    assert read_error().startswith(f"{name}: no such file; ")


def test_a_mix_without_general_rows_names_how_many_it_needs(project: Path, base: Path) -> None:
    write_project(base, {"ratio": 0.4}, general=0)
    line = read_error()
    assert line.startswith("params.yaml: mix.ratio: ")
    assert all(re.search(rf"\b{number}\b", line) for number in (4, 6, 0))


def test_a_template_that_training_could_not_use_is_found_before_anything_is_written(project: Path, base: Path) -> None:
    write_project(base, {"ratio": 0.4})
    Path("models/base").unlink()
    tokenizer = make_tokenizer()
    tokenizer.chat_template = "{% if add_generation_prompt %}?{% endif %}{{ messages[0]['content'] }}"
    tokenizer.save_pretrained("models/base")
    write_json("models/base/config.json", {"model_type": "qwen3"})
    assert "chat template" in read_error()


def test_files_are_read_from_where_dvc_puts_them(project: Path, base: Path) -> None:
    stages = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    deps = set(stages["mix"]["deps"])
    assert {
        "data/decontaminate/general.jsonl",
        "data/rehearse/general.jsonl",
        "models/base",
        "metrics/split.json",
    } <= deps
    assert {"metrics/decontaminate.json", "metrics/rehearse.json", "data/split"} <= deps
