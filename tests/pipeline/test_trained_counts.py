"""Mix, training, model card and comparison report the same counts and shares, and these are the trained ones."""

import random
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from alloy.comparison.costs import Budget, compute_budget, describe_budget, find_trained_share
from alloy.core.files import read_json, read_jsonl, write_json, write_jsonl
from alloy.formats.general import CUSTOMER
from alloy.formats.taxonomy import Taxonomy
from alloy.modeling.chat_examples import AssistantTurns, count_tokens
from example_metrics import make_metrics, make_svm_metrics, write_metrics
from mix_rows import make_general_rows
from model_files import write_model
from stages import compare, mix, train
from tiny_model import make_tokenizer

pytestmark = pytest.mark.slow

TAXONOMY = Taxonomy(("L1", "L2"), {("Delivery", "Late"): "", ("Billing", "Twice"): ""})
WORDS = ["door", "lamp", "parcel", "late", "box", "fee", "login", "app", "refund", "wet"]
SHORT, LONG, LIMIT = 40, 60, 200  # comments, comments that are too long, tokens


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the inputs of `mix`: comments, most of them too long (as complaints often are), and general rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    shutil.copy(Path(__file__).parents[2] / "dvc.yaml", tmp_path)
    chance = random.Random(0)
    comments = [
        {
            "id": str(number),
            "text": f"{' '.join(chance.choices(WORDS, k=120 if number % 5 > 1 else 4))} {number}",
            "segments": [{"L1": "Delivery", "L2": "Late"}],
        }
        for number in range(SHORT + LONG)
    ]
    write_jsonl("data/split/train.jsonl", comments)
    write_json("data/split/taxonomy.json", TAXONOMY.to_rows())
    write_json("data/split/task.json", {"levels": ["L1", "L2"], "leaves": 2, "has_content": False, "emotions": []})
    write_json("metrics/split.json", {"split": {"rejected": 0, "left_out": 0}})
    clean = {"rejected": 0, "why": {}, "held_out": 0, "same_prompt": 0}
    write_json("metrics/decontaminate.json", {"decontaminate": clean})
    write_jsonl("data/decontaminate/general.jsonl", [{**row, "lang": "en"} for row in make_general_rows(200)])
    write_model(tmp_path / "models/base")
    return tmp_path


def mix_and_train(ratio: float, unit: str = "examples", **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Mix and train; return the contents of metrics/mix.json and metrics/train.json."""
    Path("params.yaml").write_text(yaml.safe_dump({"mix": {"ratio": ratio, "unit": unit}}))
    Path("profiles").mkdir(exist_ok=True)
    settings = {"lr": 1e-3, "global_batch": 2, "max_length": LIMIT, "on_long_row": "drop", **more}
    Path("profiles/demo.yaml").write_text(yaml.safe_dump({"train": settings}))
    mix.main()
    train.main()
    return read_json("metrics/mix.json")["mix"], read_json("metrics/train.json")["train"]


@pytest.mark.parametrize("unit", ["examples", "tokens", "loss_tokens"])
def test_after_a_whole_epoch_the_trained_counts_match_the_mix(project: Path, unit: str) -> None:
    mixed, seen = mix_and_train(0.4, unit)
    rows = read_jsonl("data/mix/train.jsonl")
    counts = Counter(row["source"] for row in rows)
    assert (counts[CUSTOMER], mixed["too_long"][CUSTOMER], seen["dropped"]) == (SHORT, LONG, 0)
    assert {name: source["rows"] for name, source in mixed["source"].items()} == counts
    assert {name: source["examples"] for name, source in seen["source"].items()} == counts
    # The last global batch may run on into the next epoch.
    assert seen["general_share"][unit] == pytest.approx(mixed["achieved"], abs=0.02)
    assert mixed["achieved"] == pytest.approx(0.4, abs=0.005)
    budget = compute_budget(mixed, seen, 1e-3)
    share = seen["general_share"][unit]
    assert budget == Budget(SHORT, seen["steps"], 1e-3, general=share, too_long=LONG, unseen=0)
    assert find_trained_share(mixed, seen) == share
    assert f"{LONG} of {SHORT + LONG}" in describe_budget(budget, SHORT + LONG)[1]
    assert f"| {CUSTOMER} | {SHORT} |" in Path("models/trained/README.md").read_text(encoding="utf-8")


def test_a_training_run_that_ends_within_an_epoch_counts_what_it_saw(project: Path, capsys: Any) -> None:
    mixed, seen = mix_and_train(0.4, max_steps=3, packing=False)
    assert (mixed["rows"], seen["examples"], seen["steps"], seen["epochs"] < 0.1) == (67, 6, 3, True)
    assert sum(source["examples"] for source in seen["source"].values()) == 6
    assert sum(source["tokens"] for source in seen["source"].values()) == seen["tokens"]
    assert sum(source["loss_tokens"] for source in seen["source"].values()) == seen["loss_tokens"]
    examples = seen["source"].get(CUSTOMER, {"examples": 0})["examples"]
    assert seen["general_share"]["examples"] == pytest.approx(1 - examples / 6, abs=1e-6)
    card = Path("models/trained/README.md").read_text(encoding="utf-8")
    assert f"| {CUSTOMER} | {examples} |" in card
    write_metrics({"base": make_metrics(), "tuned": make_metrics(f1=90), "svm": make_svm_metrics()})
    for stage in ("base", "tuned"):
        write_json(f"metrics/infer/{stage}.json", {stage: {}})
    write_json("metrics/base.json", {"base": {}})
    write_json("metrics/svm.json", {"svm": {}})
    capsys.readouterr()
    compare.main()
    output = capsys.readouterr().out
    assert f"{100 * seen['general_share']['examples']:.0f}% general data" in output
    assert re.search(rf"^Budget: {examples} customer examples, 3 steps", output, re.MULTILINE)
    assert f"{SHORT - examples} of {SHORT} customer examples of the mix" in output


def test_token_counts_per_source_match_the_rows_of_the_mix(project: Path) -> None:
    mixed, seen = mix_and_train(0.4, max_steps=67, global_batch=1, packing=False)
    rows = read_jsonl("data/mix/train.jsonl")
    for name, source in seen["source"].items():
        source_rows = [row for row in rows if row["source"] == name]
        tokens, loss_tokens = count_tokens(source_rows, make_tokenizer(), AssistantTurns.all).sum(axis=0).tolist()
        assert source == {
            "examples": len(source_rows),
            "passes": len(source_rows),
            "tokens": tokens,
            "loss_tokens": loss_tokens,
        }
        assert [mixed["source"][name][key] for key in ("rows", "tokens", "loss_tokens")] == [
            len(source_rows),
            tokens,
            loss_tokens,
        ]
