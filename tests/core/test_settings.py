"""Settings are typed: all errors are raised at once, in lines that name file, key and the expected value."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from alloy.baseline.settings import Svm
from alloy.comparison.settings import Gate
from alloy.core.dvc import TEMPLATE_KEYS, list_watched_sections
from alloy.core.files import InputError
from alloy.core.renamed_keys import warn_once
from alloy.core.settings import BadRow, Data, GeneralRows, load_profile_name, load_sections, load_seed
from alloy.datasets.source import Source
from alloy.decontamination.settings import Decontaminate
from alloy.evaluation.settings import Chat, GeneralLoss, GeneralTasks, Harness, Ifeval, Mmlu
from alloy.inference.settings import Infer
from alloy.labeling.settings import Prompt
from alloy.mixing.settings import Budget, Mix, Rehearse, Unit
from alloy.modeling.settings import Interpolate
from alloy.scoring.settings import Score
from alloy.splitting.settings import Split
from alloy.training.settings import Model, Optimizer, Train

ROOT = Path(__file__).parents[2]
PARAMS_SECTIONS: list[Any] = [
    Data,
    Decontaminate,
    Gate,
    GeneralRows,
    Interpolate,
    Mix,
    Prompt,
    Rehearse,
    Score,
    Split,
    Svm,
]
PROFILE_SECTIONS: list[Any] = [Chat, GeneralLoss, GeneralTasks, Harness, Ifeval, Infer, Mmlu, Model, Train]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
WHEEL = {"package": "a-model", "version": "0.1.2", "file": "a/model.gguf", "sha256": "0123456789abcdef" * 4}
HASH = "0123456789abcdef" * 4
SCRATCH = """model:
  scratch:
    vocab_size: 300
    hidden_size: 8
    intermediate_size: 16
    num_hidden_layers: 1
    num_attention_heads: 2
    num_key_value_heads: 1
    head_dim: 4
    max_position_embeddings: 64
    train: {lr: 1.0e-2}
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to the folder of a project without a dvc.yaml."""
    monkeypatch.chdir(tmp_path)
    Path("profiles").mkdir()
    return tmp_path


def load_settings(*sections: Any, params: str = "", profile: str = "") -> Any:
    """Return the sections of a project with the profile `tiny`: one section, or a tuple of several."""
    Path("params.yaml").write_text(params if "profile:" in params else f"{params}\nprofile: tiny\n", encoding="utf-8")
    Path("profiles/tiny.yaml").write_text(profile, encoding="utf-8")
    return sections[0].load() if len(sections) == 1 else load_sections(*sections)


def catch_errors(*sections: Any, **files: str) -> list[tuple[str, str, str]]:
    """Return (file, key, message) of each error."""
    with pytest.raises(InputError) as caught:
        load_settings(*sections, **files)
    return split_errors(caught.value)


def split_errors(error: InputError) -> list[tuple[str, str, str]]:
    lines = [line.split(": ", 2) for line in str(error).split("\n")]
    return [(file, key, message) for file, key, message in lines]


def catch_error(*sections: Any, **files: str) -> tuple[str, str, str]:
    (error,) = catch_errors(*sections, **files)
    return error


def test_the_experiment_of_this_repository_loads() -> None:
    for section in PARAMS_SECTIONS:
        section.load(root=ROOT)
    assert 0 <= load_seed(ROOT) < 2**32
    assert (ROOT / "profiles" / f"{load_profile_name(ROOT)}.yaml").is_file()


@pytest.mark.parametrize("name", [path.stem for path in sorted((ROOT / "profiles").glob("*.yaml"))])
def test_every_profile_of_this_repository_loads(name: str) -> None:
    for section in PROFILE_SECTIONS:
        section.load(name, ROOT)
    model = Model.load(name, ROOT)
    assert [model.hub, model.scratch, model.wheel].count(None) == 2


def test_each_section_in_dvc_yaml_is_a_class_in_a_settings_module() -> None:
    params, profile = list_watched_sections(ROOT)
    assert params == {section.key for section in PARAMS_SECTIONS} | {"seed", *TEMPLATE_KEYS}
    assert profile == {section.key for section in PROFILE_SECTIONS}
    assert not any(section.in_profile for section in PARAMS_SECTIONS)
    assert all(section.in_profile for section in PROFILE_SECTIONS)
    sections = [section for section in (*PARAMS_SECTIONS, *PROFILE_SECTIONS) if section not in (Data, GeneralRows)]
    modules = [section.__module__ for section in sections]
    assert all(module.startswith("alloy.") and module.endswith(".settings") for module in modules)


def test_a_word_becomes_its_enum_value() -> None:
    split, train = load_settings(
        Split, Train, params="split: {on_bad_row: reject}", profile="train: {lr: 0.1, optimizer: muon}"
    )
    assert (split.on_bad_row, train.optimizer) == (BadRow.reject, Optimizer.muon)


def test_a_missing_setting_has_its_default() -> None:
    mix, gate = load_settings(Mix, Gate, params="seed: 3")
    assert (load_seed(), mix.ratio, gate.get_limits()) == (3, 0.0, {})
    Path("params.yaml").write_text("# nothing\n", encoding="utf-8")
    assert (load_seed(), load_profile_name()) == (0, "demo")


@pytest.mark.parametrize("section", PARAMS_SECTIONS, ids=lambda section: section.key)
def test_null_instead_of_a_section_of_params_yaml_means_its_defaults(section: Any) -> None:
    assert load_settings(section, params=f"{section.key}: ") == load_settings(section) == section()


def test_null_instead_of_weights_means_no_weights() -> None:
    assert load_settings(Mix, params="mix: {sources: }").sources == {}


@pytest.mark.parametrize("ratio", ["0.1", "1e-1", "1.0e-1", ".1"])
def test_a_number_may_have_any_notation(ratio: str) -> None:
    assert load_settings(Mix, params=f"mix:\n  ratio: {ratio}\n").ratio == 0.1


@pytest.mark.parametrize("ratio", ["0", "1", "0.999"])
def test_both_ends_of_a_share_are_allowed(ratio: str) -> None:
    assert load_settings(Mix, params=f"mix:\n  ratio: {ratio}\n").ratio == float(ratio)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (Split, "near_duplicate_threshold", 0.7),
        (Split, "near_duplicate_threshold", 1),
        (Decontaminate, "ngram_size", 5),
        (Decontaminate, "fuzzy_match_min_words", 2),
    ],
)
def test_the_bound_itself_is_allowed(section: Any, key: str, value: float) -> None:
    assert getattr(load_settings(section, params=f"{section.key}: {{{key}: {value}}}"), key) == value


def test_a_mix_may_have_weights_a_unit_and_a_total() -> None:
    sources = "sources: {math: 2, reasoning-math: 1.0e-9, a b: 0, Llama-3.1: 1}"
    mix = load_settings(Mix, params=f"mix: {{ratio: 0.5, unit: loss_tokens, {sources}, budget: total, total: 9}}")
    assert (mix.unit, mix.budget, mix.total) == (Unit.loss_tokens, Budget.total, 9)
    assert mix.sources == {"math": 2.0, "reasoning-math": 1e-9, "a b": 0.0, "Llama-3.1": 1.0}


def test_a_section_cannot_be_changed() -> None:
    mix = load_settings(Mix)
    with pytest.raises(ValueError, match="frozen"):
        mix.ratio = 0.5


# Numbers out of range: (section, key, words for the range in the message, values).
OUT_OF_RANGE: list[tuple[Any, str, tuple[str, ...], list[str]]] = [
    (Mix, "ratio", ("at least 0", "at most 1"), ["-0.1", "1.5", ".nan", ".inf", "nan"]),
    (Split, "test", ("at least 0", "at most 1"), ["20", "-0.1"]),
    (Split, "near_duplicate_threshold", ("at least 0.7", "at most 1"), ["0.69", "80", ".nan"]),
    (Decontaminate, "ngram_size", ("integer", "at least 5"), ["4", "13.5"]),
    (Decontaminate, "fuzzy_match_min_words", ("integer", "at least 2"), ["1"]),
    (Score, "resamples", ("at least 100",), ["10"]),
    (Rehearse, "rows", ("at least 1",), ["0"]),
    (Interpolate, "alpha", ("at least 0", "at most 1"), ["2"]),
    (Svm, "c", ("above 0",), ["0"]),
]
# (section, its text, key of the error, words in its message: the expected and the given value).
INVALID_PARAMS: dict[str, tuple[Any, str, str, tuple[str, ...]]] = {
    "an unknown key": (Mix, "{ration: 0.1}", "ration", ("ratio",)),
    "a key without a similar key": (Interpolate, "{x: 1}", "x", ("alpha",)),
    "a dotted key": (Mix, "{a.b: 1}", "a.b", ("ratio", "unit", "sources", "repeat")),
    "a word instead of a number": (Mix, "{ratio: many}", "ratio", ("number", "0", "1", "'many'")),
    "a percentage instead of a number": (Mix, "{ratio: 20%}", "ratio", ("number", "0", "1", "'20%'")),
    "a list instead of a number": (Mix, "{ratio: [0.25]}", "ratio", ("number", "[0.25]")),
    "a boolean instead of a number": (Mix, "{ratio: true}", "ratio", ("number", "true")),
    "a list instead of a word": (Data, "{comments: [a]}", "comments", ("text", "['a']")),
    "a number instead of a word": (Data, "{comments: 3}", "comments", ("text", "3")),
    "null instead of a choice": (Prompt, "{taxonomy: }", "taxonomy", ("none", "full", "shortlist", "null")),
    "an unknown choice": (Prompt, "{taxonomy: all}", "taxonomy", ("none", "full", "shortlist", "'all'")),
    "a misspelled choice": (Split, "{on_bad_row: sotp}", "on_bad_row", ("stop", "reject", "'sotp'")),
    "an unknown unit": (Mix, "{unit: words}", "unit", ("examples", "tokens", "loss_tokens", "'words'")),
    "a weight of -1": (Mix, "{sources: {math: -1}}", "sources.math", ("0 or more", "-1.0")),
    "a weight of nan": (Mix, "{sources: {math: .nan}}", "sources.math", ("number", "nan")),
    "a weight of infinity": (Mix, "{sources: {math: .inf}}", "sources.math", ("number", "inf")),
    "a word instead of a weight": (Mix, "{sources: {math: many}}", "sources.math", ("number", "'many'")),
    "a mapping instead of a weight": (Mix, "{sources: {math: {a: 1}}}", "sources.math", ("number", "{'a': 1}")),
    "a word instead of a weight with a dotted name": (
        Mix,
        "{sources: {Llama-3.1: many}}",
        "sources.Llama-3.1",
        ("number", "'many'"),
    ),
    "null instead of a weight": (Mix, "{sources: {math: }}", "sources.math", ("number", "null")),
    "only weights of 0": (Mix, "{sources: {math: 0}}", "sources", ("one weight above 0",)),
    "a list instead of weights": (Mix, "{sources: [math]}", "sources", ("key: value", "['math']")),
    "a total budget without a total": (Mix, "{budget: total}", "total", ("mix.budget", "null")),
    "a total of 0": (Mix, "{budget: total, total: 0}", "total", ("at least 1", "null", "0")),
    "a fractional total": (Mix, "{budget: total, total: 1.5}", "total", ("integer", "1.5")),
    "a total without a total budget": (Mix, "{total: 10}", "total", ("null", "mix.budget: total", "10")),
    "a word instead of a boolean": (Mix, "{repeat: maybe}", "repeat", ("true", "false", "'maybe'")),
    "a number instead of a boolean": (Mix, "{repeat: 3}", "repeat", ("true", "false", "3")),
    "a gate of 2": (Gate, "{mmlu: {acc: 2}}", "mmlu.acc", ("from 0 to 1", "null", "2")),
    "a gate of -0.1": (Gate, "{voc: {f1: -0.1}}", "voc.f1", ("from 0 to 1", "null", "-0.1")),
    "a head below the tail": (Score, "{head: 3}", "head", ("at least", "score.tail", "20", "3")),
    "a number instead of a section": (Mix, "3", "", ("key: value", "3")),
    "a word instead of a section": (Mix, "word", "", ("key: value", "'word'")),
    "a list instead of a section": (Mix, "[ratio]", "", ("key: value", "['ratio']")),
    **{
        f"{key} of {value}": (section, f"{{{key}: {value}}}", key, (*expected, value.lstrip(".")))
        for section, key, expected, values in OUT_OF_RANGE
        for value in values
    },
}


@pytest.mark.parametrize(("section", "text", "key", "expected_words"), INVALID_PARAMS.values(), ids=INVALID_PARAMS)
def test_an_invalid_parameter_is_an_error_of_one_line_with_its_key_and_the_expected_value(
    section: Any, text: str, key: str, expected_words: tuple[str, ...]
) -> None:
    file, location, message = catch_error(section, params=f"{section.key}: {text}")
    assert (file, location) == ("params.yaml", f"{section.key}.{key}".rstrip("."))
    assert [word for word in expected_words if word not in message] == []


@pytest.mark.parametrize("seed", ["-1", str(2**32), "1.5", "null", "true", "word", "[1]", '"???"', '"${mix.total}"'])
def test_a_seed_out_of_range_is_the_same_error_with_and_without_a_section(seed: str) -> None:
    with pytest.raises(InputError) as caught:
        load_settings(Mix, params=f"seed: {seed}\nmix: {{budget: total, total: 3}}")
    with pytest.raises(InputError) as seed_error:
        load_seed()
    assert split_errors(caught.value) == split_errors(seed_error.value)
    ((file, key, message),) = split_errors(seed_error.value)
    assert (file, key) == ("params.yaml", "seed")
    assert f"0 to {2**32 - 1}" in message


@pytest.mark.parametrize("name", ["3", "null", "[tiny]", '"${data.comments}"'])
def test_a_profile_that_is_not_a_word_is_one_error(name: str) -> None:
    with pytest.raises(InputError) as caught:
        load_settings(Mix, Infer, params=f"profile: {name}", profile="infer: {}")
    with pytest.raises(InputError) as name_error:
        load_profile_name()
    assert split_errors(caught.value) == split_errors(name_error.value)
    ((file, key, message),) = split_errors(caught.value)
    assert (file, key) == ("params.yaml", "profile")
    assert "profiles" in message


def make_train(settings: str) -> str:
    return f"train: {{lr: 1.0e-4, {settings}}}"


def make_wheel(**changes: Any) -> str:
    """Return a profile with a model in a wheel, with some changed values."""
    return json.dumps({"model": {"wheel": {**WHEEL, **changes}}})


INVALID_PROFILES: dict[str, tuple[Any, str, str, tuple[str, ...]]] = {
    "an unknown nested key": (Model, SCRATCH.replace("lr:", "lrr: 1, lr:"), "model.scratch.train.lrr", ("lr",)),
    "a hub model without a revision": (Model, "model: {hub: some/model}", "model.revision", ("40 hex", "null")),
    "a branch instead of a commit": (
        Model,
        "model: {hub: some/model, revision: main}",
        "model.revision",
        ("commit", "40 hex", "'main'"),
    ),
    "an empty model": (Model, "model: {}", "model", ("`hub`", "`scratch`", "`hosted`")),
    "path and gguf together": (
        Model,
        "model: {path: a, gguf: b.gguf}",
        "model",
        ("`path`", "`gguf`", "`wheel`", "['path', 'gguf']"),
    ),
    "an empty path": (Model, "model: {path: ''}", "model.path", ("a path", "''")),
    "a revision with path": (Model, f"model: {{path: a, revision: {COMMIT}}}", "model.revision", ("null", "`hub`")),
    "a hash that is too short": (Model, "model: {path: a, sha256: 0abc}", "model.sha256", ("64 hex", "'0abc'")),
    "sha256 with hub": (
        Model,
        f"model: {{hub: some/model, revision: {COMMIT}, sha256: {HASH}}}",
        "model.sha256",
        ("null", "`path`", "`gguf`"),
    ),
    "a wheel without sha256": (
        Model,
        "model: {wheel: {package: a, version: '1', file: a.gguf}}",
        "model.wheel.sha256",
        ("missing", "add it"),
    ),
    "a wheel with a hash that is too short": (
        Model,
        make_wheel(sha256="0abc"),
        "model.wheel.sha256",
        ("64 hex", "'0abc'"),
    ),
    "an option instead of a package": (Model, make_wheel(package="--pre"), "model.wheel.package", ("name", "'--pre'")),
    "a version range instead of a version": (
        Model,
        make_wheel(version=">=1"),
        "model.wheel.version",
        ("0.1.2", "'>=1'"),
    ),
    "a file outside the wheel": (Model, make_wheel(file="a/../../b.gguf"), "model.wheel.file", ("inside", "b.gguf")),
    "a number instead of a version": (Model, make_wheel(version=1.0), "model.wheel.version", ("text", "1.0")),
    "scratch and hub together": (
        Model,
        f"{SCRATCH}  hub: some/model\n  revision: {COMMIT}\n",
        "model",
        ("`hub`", "`scratch`", "`hosted`"),
    ),
    "a list instead of a model": (Model, "model: []", "model", ("key: value", "[]")),
    "null instead of a model": (Model, "model: ", "model", ("key: value", "null")),
    "an empty model name": (Model, "model: {hosted: ''}", "model.hosted", ("the name", "''")),
    "a missing learning rate": (Train, "train: {epochs: 1}", "train.lr", ("missing", "above 0", "below 1")),
    "null instead of train": (Train, "train: ", "train", ("key: value", "null")),
    "a mapping instead of tasks": (GeneralTasks, "general: {}", "general", ("[a, b]", "{}")),
    "a word instead of tasks": (GeneralTasks, "general: gsm8k", "general", ("[a, b]", "'gsm8k'")),
    "null instead of tasks": (GeneralTasks, "general: ", "general", ("[a, b]", "null")),
    "a number among tasks": (GeneralTasks, "general: [a, 3]", "general[1]", ("text", "3")),
    "lora.alpha of infinity": (Train, make_train("lora: {alpha: .inf}"), "train.lora.alpha", ("above 0", "inf")),
    "a word instead of targets": (
        Train,
        make_train("lora: {targets: all-linear}"),
        "train.lora.targets",
        ("[a, b]", "'all-linear'"),
    ),
    "a number among targets": (Train, make_train("lora: {targets: [a, 3]}"), "train.lora.targets[1]", ("text", "3")),
    "a learning rate of 0": (Train, "train: {lr: 0}", "train.lr", ("above 0", "below 1", "0")),
    "a learning rate of nan": (Train, "train: {lr: .nan}", "train.lr", ("above 0", "below 1", "nan")),
    **{
        f"{key} of {value}": (Train, make_train(f"{key}: {value}"), f"train.{key}", (*expected, value.lstrip(".")))
        for key, expected, value in (
            ("epochs", ("above 0",), "0"),
            ("epochs", ("above 0",), ".inf"),
            ("max_steps", ("at least 1", "null"), "0"),
            ("warmup", ("at least 0", "below 1"), "1"),
            ("weight_decay", ("at least 0", "below 1"), "-1"),
            ("weight_decay", ("at least 0", "below 1"), ".nan"),
        )
    },
    "an unknown schedule": (
        Train,
        make_train("schedule: cosin"),
        "train.schedule",
        ("cosine", "linear", "constant_with_warmup", "'cosin'"),
    ),
    "an unknown optimizer": (Train, make_train("optimizer: sgd"), "train.optimizer", ("adamw", "muon", "'sgd'")),
    "batch_size of 0": (Infer, "infer: {batch_size: 0}", "infer.batch_size", ("at least 1", "0")),
    "a limit of 0": (Infer, "infer: {limit: 0}", "infer.limit", ("at least 1", "null", "0")),
    "fewshot of -1": (Mmlu, "mmlu: {fewshot: -1}", "mmlu.fewshot", ("at least 0", "-1")),
    "an unknown cloze prompt": (Mmlu, "mmlu: {cloze: word}", "mmlu.cloze", ("plain", "chat", "'word'")),
    "a removed key": (Mmlu, "mmlu: {answer: text}", "mmlu.answer", ("cloze: chat", "show_choices: false", "'text'")),
    "a removed key with its default": (Mmlu, "mmlu: {answer: letter}", "mmlu.answer", ("always", "'letter'")),
    "lora.rank of 0": (Train, make_train("lora: {rank: 0}"), "train.lora.rank", ("at least 1", "0")),
    "empty targets": (Train, make_train("lora: {targets: []}"), "train.lora.targets", ("all-linear", "[]")),
    "muon with LoRA": (Train, make_train("method: lora, optimizer: muon"), "train.optimizer", ("adamw", "muon")),
    "muon with DeepSpeed": (
        Train,
        make_train("deepspeed: zero2, optimizer: muon"),
        "train.optimizer",
        ("adamw", "muon"),
    ),
    "kl_weight with zero3": (
        Train,
        make_train("deepspeed: zero3, kl_weight: 0.1"),
        "train.kl_weight",
        ("0", "zero3", "0.1"),
    ),
    "an unknown deepspeed stage": (
        Train,
        make_train("deepspeed: zero1"),
        "train.deepspeed",
        ("zero2", "zero3", "null", "'zero1'"),
    ),
    "a model from scratch with LoRA": (
        Model,
        SCRATCH.replace("{lr: 1.0e-2}", "{lr: 1.0e-2, method: lora}"),
        "model.scratch.train.method",
        ("lora",),
    ),
    "a model from scratch with a learning rate of 5": (
        Model,
        SCRATCH.replace("lr: 1.0e-2", "lr: 5"),
        "model.scratch.train.lr",
        ("above 0", "below 1", "5"),
    ),
    "an odd head_dim": (Model, SCRATCH.replace("head_dim: 4", "head_dim: 3"), "model.scratch.head_dim", ("even", "3")),
    "num_key_value_heads that is not a divisor": (
        Model,
        SCRATCH.replace("num_attention_heads: 2", "num_attention_heads: 3").replace("heads: 1", "heads: 2"),
        "model.scratch.num_key_value_heads",
        ("divisor", "num_attention_heads", "3", "2"),
    ),
    "a vocab_size below 300": (
        Model,
        SCRATCH.replace("vocab_size: 300", "vocab_size: 200"),
        "model.scratch.vocab_size",
        ("at least 300", "200"),
    ),
}


@pytest.mark.parametrize(("section", "text", "key", "expected_words"), INVALID_PROFILES.values(), ids=INVALID_PROFILES)
def test_an_invalid_profile_is_an_error_of_one_line_with_its_key_and_the_expected_value(
    section: Any, text: str, key: str, expected_words: tuple[str, ...]
) -> None:
    file, location, message = catch_error(section, profile=text)
    assert (file, location) == ("profiles/tiny.yaml", key)
    assert [word for word in expected_words if word not in message] == []


def test_each_missing_part_of_a_model_from_scratch_is_named_in_the_error() -> None:
    errors = catch_errors(Model, profile="model: {scratch: {vocab_size: 3}}")
    keys = [line.partition(":")[0].strip() for line in SCRATCH.splitlines()[2:]]
    assert {key for _, key, _ in errors} == {f"model.scratch.{key}" for key in keys}
    assert {key for _, key, message in errors if "missing" not in message} == {"model.scratch.vocab_size"}


@pytest.mark.parametrize("section", PROFILE_SECTIONS, ids=lambda section: section.key)
def test_a_missing_section_of_a_profile_is_an_error(section: Any) -> None:
    file, key, message = catch_error(section, profile="other: {}")
    assert (file, key) == ("profiles/tiny.yaml", section.key)
    assert "missing" in message
    examples = {"general": "`general: []`", "train": "`train:` with lr", "model": "`model:` as"}
    assert examples.get(section.key, f"`{section.key}: {{}}`") in message


def test_a_model_is_pinned_or_made_from_scratch() -> None:
    assert load_settings(Model, profile=f"model: {{hub: some/model, revision: {COMMIT}}}").revision == COMMIT
    model = load_settings(Model, profile=SCRATCH)
    assert model.hub is None
    assert model.scratch.train.lr == 0.01


def test_a_model_is_a_folder_a_file_or_in_a_wheel() -> None:
    assert load_settings(Model, profile="model: {path: ../some/folder}").path == "../some/folder"
    assert load_settings(Model, profile=f"model: {{gguf: a.gguf, sha256: {HASH}}}").sha256 == HASH
    assert load_settings(Model, profile=make_wheel()).wheel.model_dump() == WHEEL


def test_a_missing_profile_lists_the_known_ones() -> None:
    for name in ("small", "large"):
        Path(f"profiles/{name}.yaml").write_text("infer: {}\n", encoding="utf-8")
    file, key, message = catch_error(Infer, params="profile: medium")
    assert (file, key) == ("params.yaml", "profile")
    assert "profiles/medium.yaml" in message
    assert message.endswith("large, small, tiny")


def test_another_profile_and_another_project_folder_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_settings(Infer, profile="infer: {}")
    Path("profiles/other.yaml").write_text("infer: {batch_size: 3}\n", encoding="utf-8")
    monkeypatch.chdir("/")
    assert Infer.load("other", tmp_path).batch_size == 3
    assert Infer.load(root=str(tmp_path)).batch_size == 64
    assert (load_profile_name(tmp_path), load_seed(tmp_path)) == ("tiny", 0)


# Keys that were renamed.


OLD_NAMES = {
    "in params.yaml": (Split, "split: {near: 0.9}", "", "params.yaml: split.near", {"near_duplicate_threshold": 0.9}),
    "in a profile": (
        Train,
        "",
        "train: {lr: 0.1, anchor: 0.5}",
        "profiles/tiny.yaml: train.anchor",
        {"kl_weight": 0.5},
    ),
    "with a reference": (
        Train,
        "",
        "train: {lr: 0.1, anchor: '${train.lr}'}",
        "profiles/tiny.yaml: train.anchor",
        {"kl_weight": 0.1},
    ),
}


@pytest.mark.parametrize(("section", "params", "profile", "location", "values"), OLD_NAMES.values(), ids=OLD_NAMES)
def test_the_old_name_of_a_key_works_and_is_one_warning_with_the_new_name(
    section: Any, params: str, profile: str, location: str, values: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    warn_once.cache_clear()
    for _ in range(2):
        loaded = load_settings(section, params=params, profile=profile)
        assert loaded.model_dump(include=set(values)) == values
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: {location}: ")
    assert next(iter(values)) in line


def test_an_old_name_works_in_a_part_of_a_section(capsys: pytest.CaptureFixture[str]) -> None:
    warn_once.cache_clear()
    (error,) = catch_errors(Model, profile=SCRATCH.replace("lr:", "anchor: 0.5, lr:"))
    assert error[:2] == ("profiles/tiny.yaml", "model.scratch.train.kl_weight")
    assert capsys.readouterr().err.startswith("warning: profiles/tiny.yaml: model.scratch.train.anchor: ")


def test_an_old_name_works_in_a_source_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    warn_once.cache_clear()
    values = {"format": "hub", "repository": "me/tiny", "revision": COMMIT, "part": "test"}
    assert Source.parse("data/mine/source.yaml", values).split == "test"
    assert capsys.readouterr().err.startswith("warning: data/mine/source.yaml: part: ")
    with pytest.raises(InputError, match=r"^data/mine/source\.yaml: part: [^\n]*split[^\n]*\Z"):
        Source.parse("data/mine/source.yaml", {**values, "split": "train"})


def test_a_key_with_both_names_is_an_error() -> None:
    params = "split: {near: 0.9, near_duplicate_threshold: 0.8, test: 2}"
    near_error, test_error = catch_errors(Split, params=params)
    assert near_error[:2] == ("params.yaml", "split.near")
    assert "near_duplicate_threshold" in near_error[2]
    assert test_error[:2] == ("params.yaml", "split.test")


@pytest.mark.parametrize("section", [*PARAMS_SECTIONS, *PROFILE_SECTIONS, Source], ids=lambda section: section.__name__)
def test_old_names_map_to_keys_that_exist(section: Any) -> None:
    renamed = getattr(section, "renamed", {})
    assert set(renamed.values()) <= section.model_fields.keys()
    assert not renamed.keys() & section.model_fields.keys()


# Several errors.


def test_all_invalid_keys_of_a_section_are_raised_at_once_one_per_line() -> None:
    errors = catch_errors(Mix, params="mix: {ration: 1, ratio: 2, unit: word, sources: {a: x, b: y}}")
    keys = ["mix.ratio", "mix.unit", "mix.sources.a", "mix.sources.b", "mix.ration"]
    assert sorted(key for _, key, _ in errors) == sorted(keys)
    assert {file for file, _, _ in errors} == {"params.yaml"}


def test_the_errors_of_sections_that_are_loaded_together_are_raised_at_once() -> None:
    params = "seed: -1\nmix: {ratio: 2, total: 0}\nscore: {resamples: 1}\nsplit: {test: 9}"
    profile = "train: {lr: 5, epochs: 0}\ninfer: {batch_size: 0}\nmmlu: {fewshot: -1}"
    errors = catch_errors(Mix, Score, Train, Infer, params=params, profile=profile)
    assert [(file, key) for file, key, _ in errors] == [
        ("params.yaml", "seed"),
        ("params.yaml", "mix.ratio"),
        ("params.yaml", "mix.total"),
        ("params.yaml", "score.resamples"),
        ("profiles/tiny.yaml", "train.lr"),
        ("profiles/tiny.yaml", "train.epochs"),
        ("profiles/tiny.yaml", "infer.batch_size"),
    ]


def test_errors_in_a_section_that_is_not_loaded_are_ignored() -> None:
    params = "mix: {ratio: 2}\nscore: {head: '${mix.nothere}'}\nsplit: {near_duplicate_threshold: '${oc.env:HOME}'}"
    gate, infer = load_settings(Gate, Infer, params=params, profile="infer: {}\ntrain: {lr: 5}\ngeneral: [3]")
    assert (gate, infer) == (Gate(), Infer())


def test_params_are_checked_even_if_the_profile_is_missing() -> None:
    errors = catch_errors(Mix, Infer, params="profile: nothere\nmix: {ratio: 2}")
    assert [(file, key) for file, key, _ in errors] == [("params.yaml", "profile"), ("params.yaml", "mix.ratio")]


def test_a_profile_that_cannot_be_read_does_not_hide_errors_in_the_params() -> None:
    with pytest.raises(InputError) as caught:
        load_settings(Mix, Infer, params="mix: {ratio: 2}", profile="infer: [\n")
    first, second = str(caught.value).splitlines()
    assert first.startswith("profiles/tiny.yaml:2: ")
    assert second.startswith("params.yaml: mix.ratio: ")


# References.


def test_a_value_may_refer_to_another_value_of_its_section() -> None:
    text = (
        "train: {lr: 0.01, global_batch: 4, max_length: '${train.global_batch}', lora: {rank: '${train.max_length}'}}"
    )
    settings = load_settings(Train, profile=text)
    assert (settings.max_length, settings.lora.rank) == (4, 4)
    assert load_settings(Data, params="data: {general: 'a-${data.comments}', comments: x}").general == "a-x"
    assert load_settings(Prompt, params="prompt: {shortlist: 7, examples: '${prompt.shortlist}'}").examples == 7


def test_a_reference_to_a_value_of_another_type_is_an_error() -> None:
    file, key, message = catch_error(Train, profile="train: {lr: 0.5, max_length: '${train.lr}'}")
    assert (file, key) == ("profiles/tiny.yaml", "train.max_length")
    assert "integer" in message and "0.5" in message


INVALID_REFERENCES = {
    "to another section": "${interpolate.alpha}",
    "to a top-level key": "${seed}",
    "to a section with a similar name": "${mixed.total}",
    "to the section of the value": "${mix}",
    "to the value itself": "${mix.ratio}",
    "in a cycle": "${mix.total}",
    "to a missing key": "${mix.nothere}",
    "to a missing section": "${nothere}",
    "a relative reference": "${.unit}",
    "a nested reference": "${${mix.unit}}",
    "to an environment variable": "${oc.env:HOME}",
    "to an environment variable within text": "a ${oc.env:HOME} b",
    "an unclosed reference": "${mix.",
    "an unclosed reference after text": "a${b",
}


@pytest.mark.parametrize("value", INVALID_REFERENCES.values(), ids=INVALID_REFERENCES)
def test_an_invalid_reference_is_an_error_of_one_line_with_its_key(value: str) -> None:
    params = f"""seed: 1  # ${{here}} is fine
interpolate: {{alpha: 0.5}}
mix:
  ratio: "{value}"
  total: {"${mix.ratio}" if value == "${mix.total}" else "null"}
mixed: {{total: 0.5}}
"""
    errors = catch_errors(Mix, params=params)
    assert [(file, key) for file, key, _ in errors][:1] == [("params.yaml", "mix.ratio")]
    assert len(errors) == (2 if value == "${mix.total}" else 1)  # both values that refer to each other


@pytest.mark.parametrize("sources", ["{a: '${mix.sources}'}", "{a: {b: '${mix.sources}'}}"])
def test_a_reference_to_the_mapping_that_contains_it_is_an_error_with_its_key(sources: str) -> None:
    file, key, _ = catch_error(Mix, params=f"mix: {{sources: {sources}}}")
    assert file == "params.yaml"
    assert key.startswith("mix")


def test_a_section_that_refers_to_another_section_is_an_error() -> None:
    assert catch_error(Mix, params="mix: ${prompt}\nprompt: {}")[:2] == ("params.yaml", "mix")
    assert catch_error(GeneralTasks, profile="general: ${infer}\ninfer: {}")[:2] == ("profiles/tiny.yaml", "general")
    assert catch_error(GeneralTasks, profile="general: [a, '${infer.limit}']")[:2] == (
        "profiles/tiny.yaml",
        "general[1]",
    )


def test_invalid_references_and_other_errors_are_raised_together() -> None:
    params = """mix: {ratio: '${score.head}', total: '${mix.nothere}', unit: word, repeat: '${mix.unit}', x: 1}
score: {head: 1, tail: 0}
"""
    errors = catch_errors(Mix, Score, params=params)
    keys = ["mix.ratio", "mix.total", "mix.unit", "mix.x", "score.tail"]
    assert sorted(key for _, key, _ in errors) == keys
    (missing, refers) = catch_errors(Train, profile="train: {epochs: '${mix.ratio}'}")[::-1]
    assert (missing[1], refers[1]) == ("train.lr", "train.epochs")


# Unknown sections.


STAGES = {
    "one": {"cmd": "a", "params": ["mix.general", "score", "seed", {"profiles/${profile}.yaml": ["infer", "train"]}]},
    "two": {"cmd": "b", "params": [{"profiles/${profile}.yaml": ["train"]}]},
    "three": {"cmd": "c"},
}


def test_the_sections_in_dvc_yaml_are_known() -> None:
    assert list_watched_sections(Path()) == (set(), set())
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}), encoding="utf-8")
    assert list_watched_sections(Path()) == ({"mix", "score", "seed", "profile", "data"}, {"infer", "train"})


def test_an_unknown_section_is_an_error_that_suggests_the_nearest_name() -> None:
    files = {"params": "mixx: {ratio: 0.1}\ndata: {}", "profile": "infer: {}\ntrian: {}\nqqq: {}"}
    load_settings(Score, Infer, **files)
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}), encoding="utf-8")
    mixx, trian, qqq = catch_errors(Score, Infer, **files)
    assert mixx[:2] == ("params.yaml", "mixx")
    assert mixx[2].endswith("did you mean mix?")
    assert trian[:2] == ("profiles/tiny.yaml", "trian")
    assert trian[2].endswith("did you mean train?")
    assert qqq[:2] == ("profiles/tiny.yaml", "qqq")
    assert "infer" in qqq[2] and "train" in qqq[2]
    assert [key for _, key, _ in catch_errors(Score, **files)] == ["mixx"]  # the profile is not read for it


def test_a_section_in_the_wrong_file_is_unknown() -> None:
    shutil.copy(ROOT / "dvc.yaml", ".")
    errors = catch_errors(
        Mix, Infer, params="infer: {}\ntrain: {}\nmix: {ratio: 3}", profile="infer: {}\nmix: {}\nseed: 1"
    )
    assert [(file, key) for file, key, _ in errors] == [
        ("params.yaml", "infer"),
        ("params.yaml", "train"),
        ("profiles/tiny.yaml", "mix"),
        ("profiles/tiny.yaml", "seed"),
        ("params.yaml", "mix.ratio"),
    ]


# Invalid files.
BOMB = "seed: 0\na0: &a0 [laugh]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("seed: 1\nmix:\n  ratio: [\n", "params.yaml:4: "),
        ("mix:\n\tratio: 1\n", "params.yaml:2: "),
        ("seed: 1\nseed: 2\n", "params.yaml:2: "),
        ("- seed\n", "params.yaml: "),
        ("3\n", "params.yaml: "),
        ("seed: \x01\n", "params.yaml: "),
        ("null: 2\n", "params.yaml: "),
        ("1: 2\n", "params.yaml: "),
        ("mix: {sources: {null: 2}}\n", "params.yaml: mix.sources: "),
        ("seed: !!set {a, b}\n", "params.yaml: seed: "),
        ("seed: &a [*a]\n", "params.yaml:1: "),
        (f"seed: {'[' * 999}{']' * 999}\n", "params.yaml:1: "),
        (BOMB, "params.yaml:7: "),
    ],
    ids=[
        "an unclosed bracket",
        "a tab",
        "a duplicate key",
        "a list",
        "a bare number",
        "a control character",
        "null as a key",
        "a number as a key",
        "null as a source",
        "a set",
        "a list that contains itself",
        "a deeply nested list",
        "a billion laughs",
    ],
)
def test_yaml_that_is_not_a_plain_mapping_is_an_error_of_one_line_with_its_location(text: str, location: str) -> None:
    Path("params.yaml").write_text(text, encoding="utf-8")
    for read in (Mix.load, load_seed, load_profile_name):
        with pytest.raises(InputError) as caught:
            read()
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith(location)


@pytest.mark.parametrize("file", ["params.yaml", "profiles/tiny.yaml"])
def test_chains_of_references_are_an_error_before_they_fill_the_memory(file: str) -> None:
    section = "mix" if file == "params.yaml" else "train"
    lines = [f"  a{n}: {f'${{{section}.a{n - 1}}}' * 9}" for n in range(1, 12)]
    Path("params.yaml").write_text("profile: tiny\n")
    Path("profiles").mkdir(exist_ok=True)
    Path("profiles/tiny.yaml").write_text("{}\n")
    Path(file).write_text("\n".join([f"{section}:", "  a0: laugh", *lines, ""]))
    start = time.monotonic()
    with pytest.raises(InputError, match=f"^{file}: {section}: "):
        (Mix if section == "mix" else Train).load("tiny")
    assert time.monotonic() - start < 10


def test_a_file_in_another_encoding_is_an_error_of_one_line() -> None:
    Path("params.yaml").write_bytes("profile: demo  # später".encode("latin-1"))
    with pytest.raises(InputError, match=r"\Aparams\.yaml: .*UTF-8.*\Z"):
        Mix.load()


def test_a_missing_parameter_file_is_an_error_of_one_line() -> None:
    with pytest.raises(InputError, match=r"\Aparams\.yaml: .*\Z"):
        Mix.load()
    with pytest.raises(InputError, match=r"\Aparams\.yaml: .*\Z"):
        Infer.load("tiny")


@pytest.mark.parametrize("folder", ["''", "../mine", "/etc", "mine/../../x", '"a\\0b"', "x" * 300, "3", "null"])
def test_a_data_folder_is_a_name_below_data(folder: str) -> None:
    file, key, _ = catch_error(Data, params=f"data: {{general: {folder}}}")
    assert (file, key) == ("params.yaml", "data.general")


@pytest.mark.parametrize("name", ["''", "../tiny", "/etc/x", "x" * 300])
def test_a_profile_is_a_name_below_profiles(name: str) -> None:
    assert ("params.yaml", "profile") in [(file, key) for file, key, _ in catch_errors(Data, params=f"profile: {name}")]


def test_nine_of_a_hundred_unknown_keys_are_printed_and_the_others_counted() -> None:
    with pytest.raises(InputError) as caught:
        load_settings(Data, params="data: {" + ", ".join(f"key{number}: 1" for number in range(100)) + "}")
    lines = str(caught.value).splitlines()
    assert len(lines) == 10
    assert "91 more" in lines[-1]


def test_merge_conflict_markers_are_named_with_their_line() -> None:
    with pytest.raises(InputError, match=r"^params\.yaml:2: "):
        load_settings(Data, params="seed: 0\n<<<<<<< HEAD\nprofile: a\n=======\nprofile: b\n>>>>>>> theirs\n")
