"""Parameters are typed: whatever is wrong with them is said in one line that names the file and the key."""

from pathlib import Path

import pytest

from alloy.core.experiment import BadRow, Budget, Unit
from alloy.core.files import InputError
from alloy.core.params import load_params, load_profile
from alloy.core.scale import Optimizer, Profile

REPOSITORY = Path(__file__).parents[2]
MODEL = "model: {hub: some/model, revision: 0123456789abcdef0123456789abcdef01234567}\n"
GOOD = MODEL + "train: {lr: 1.0e-4}\n"
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


def params_fault(folder: Path, text: str) -> str:
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_params(folder / "params.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/")


SECTIONS = {"infer": "{}", "harness": "{}", "mmlu": "{}", "ifeval": "{}", "general": "[]"}


def profile(folder: Path, text: str) -> Profile:
    rest = "".join(f"\n{section}: {empty}" for section, empty in SECTIONS.items() if f"{section}:" not in text)
    (folder / "tiny.yaml").write_text(text + rest, encoding="utf-8")
    return load_profile("tiny", folder)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_that_dvc_will_look_for_must_be_there(tmp_path: Path, section: str) -> None:
    rest = "".join(f"{other}: {empty}\n" for other, empty in SECTIONS.items() if other != section)
    (tmp_path / "tiny.yaml").write_text(f"{MODEL}train: {{lr: 1.0e-4}}\n{rest}", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_profile("tiny", tmp_path)
    assert str(caught.value).endswith(
        f"{section}: the section is missing; write `{section}: {SECTIONS[section]}` for its defaults"
    )


def profile_fault(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        profile(folder, text)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/")


def test_the_experiment_of_this_repository_loads() -> None:
    params = load_params(REPOSITORY / "params.yaml")
    assert (REPOSITORY / "profiles" / f"{params.profile}.yaml").is_file()


@pytest.mark.parametrize("name", [path.stem for path in sorted((REPOSITORY / "profiles").glob("*.yaml"))])
def test_every_profile_of_this_repository_loads(name: str) -> None:
    loaded = load_profile(name, REPOSITORY / "profiles")
    assert loaded.train.lr > 0
    assert (loaded.model.hub is None) != (loaded.model.scratch is None)


def test_an_unknown_key_deep_in_a_profile_is_said(tmp_path: Path) -> None:
    told = profile_fault(tmp_path, SCRATCH.replace("lr:", "lrr: 1, lr:") + "train: {lr: 1.0e-4}\n")
    assert told == "tiny.yaml: model.scratch.train.lrr: there is no such key; write lr"


def test_a_word_becomes_what_it_stands_for(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("split: {on_bad_row: reject}", encoding="utf-8")
    assert load_params(tmp_path / "params.yaml").split.on_bad_row is BadRow.reject
    assert profile(tmp_path, MODEL + "train: {lr: 1.0e-4, optimizer: muon}").train.optimizer is Optimizer.muon


def test_what_is_not_given_keeps_its_default(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("seed: 3", encoding="utf-8")
    params = load_params(tmp_path / "params.yaml")
    assert (params.seed, params.mix.ratio, params.gate.mmlu_drop) == (3, 0.0, None)


@pytest.mark.parametrize("ratio", ["0.1", "1e-1", "1.0e-1", ".1"])
def test_a_number_may_be_written_in_any_way(tmp_path: Path, ratio: str) -> None:
    (tmp_path / "params.yaml").write_text(f"mix:\n  ratio: {ratio}\n", encoding="utf-8")
    assert load_params(tmp_path / "params.yaml").mix.ratio == 0.1


@pytest.mark.parametrize("ratio", ["0", "1", "0.999"])
def test_both_ends_of_a_share_are_allowed(tmp_path: Path, ratio: str) -> None:
    (tmp_path / "params.yaml").write_text(f"mix:\n  ratio: {ratio}\n", encoding="utf-8")
    assert load_params(tmp_path / "params.yaml").mix.ratio == float(ratio)


BAD_PARAMS = {
    "an unknown key": ("mix: {ration: 0.1}", "params.yaml: mix.ration: there is no such key; write ratio"),
    "an unknown section": ("mixx: {ratio: 0.1}", "params.yaml: mixx: there is no such key; write mix"),
    "a key like no other": ("interpolate: {x: 1}", "params.yaml: interpolate.x: there is no such key; write alpha"),
    "a word for a number": (
        "mix: {ratio: many}",
        "params.yaml: mix.ratio: 'many' where a number belongs; write one such as 0.25",
    ),
    "a fraction for a whole number": (
        "seed: 1.5",
        "params.yaml: seed: 1.5 where a whole number belongs; write one such as 3",
    ),
    "null for a number": ("seed: null", "params.yaml: seed: null where a whole number belongs; write one such as 3"),
    "a share in per cent": (
        "mix: {ratio: 20%}",
        "params.yaml: mix.ratio: '20%' where a number belongs; write one such",
    ),
    "a list for a number": ("mix: {ratio: [0.25]}", "params.yaml: mix.ratio: [0.25] where a number belongs; write one"),
    "a list for a word": (
        "data: {comments: [a]}",
        "params.yaml: data.comments: ['a'] where a word belongs; write one such",
    ),
    "null for a choice": (
        "prompt: {taxonomy: }",
        "params.yaml: prompt.taxonomy: null where one of its words belongs; wr",
    ),
    "a ratio below 0": ("mix: {ratio: -0.1}", "params.yaml: mix.ratio: -0.1 is out of range; give a share from 0 to 1"),
    "a ratio above 1": ("mix: {ratio: 1.5}", "params.yaml: mix.ratio: 1.5 is out of range; give a share from 0 to 1"),
    "a ratio that is no number": ("mix: {ratio: .nan}", "params.yaml: mix.ratio: nan is out of range"),
    "an endless ratio": ("mix: {ratio: .inf}", "params.yaml: mix.ratio: inf is out of range"),
    "a ratio that says it is no number": ("mix: {ratio: nan}", "params.yaml: mix.ratio: nan is out of range"),
    "an unknown unit": (
        "mix: {unit: words}",
        "params.yaml: mix.unit: 'words' where one of its words belongs; write examples or tokens or loss_tokens",
    ),
    "a weight below 0": ("mix: {sources: {math: -1}}", "params.yaml: mix.sources.math: -1.0 is out of range; give a"),
    "a weight that is no number": (
        "mix: {sources: {math: .nan}}",
        "params.yaml: mix.sources.math: nan is out of range",
    ),
    "an endless weight": ("mix: {sources: {math: .inf}}", "params.yaml: mix.sources.math: inf is out of range"),
    "a word for a weight": (
        "mix: {sources: {math: many}}",
        "params.yaml: mix.sources.math: 'many' where a number belongs",
    ),
    "a section for a weight": (
        "mix: {sources: {math: {a: 1}}}",
        "params.yaml: mix.sources.math: {'a': 1} where a number belongs",
    ),
    "a word for a weight of a dotted name": (
        "mix: {sources: {Llama-3.1: many}}",
        "params.yaml: mix.sources.Llama-3.1: 'many' where a number belongs",
    ),
    "a dotted key": ("mix: {a.b: 1}", "params.yaml: mix.a.b: there is no such key; write ratio or unit"),
    "no weight for a source": ("mix: {sources: {math: }}", "params.yaml: mix.sources.math: "),
    "weights of 0 alone": ("mix: {sources: {math: 0}}", "params.yaml: mix.sources: all 0 is out of range"),
    "sources without weights": ("mix: {sources: [math]}", "params.yaml: mix.sources: ['math'] where a section belongs"),
    "a budget without its total": ("mix: {budget: total}", "params.yaml: mix.total: null is out of range; give how"),
    "a total of nothing": ("mix: {budget: total, total: 0}", "params.yaml: mix.total: 0 is out of range; give 1 or"),
    "half a row in all": (
        "mix: {budget: total, total: 1.5}",
        "params.yaml: mix.total: 1.5 where a whole number belongs",
    ),
    "a total that nothing heeds": (
        "mix: {total: 10}",
        "params.yaml: mix.total: 10 is out of range; give null, or set mix.budget: total",
    ),
    "a perhaps": (
        "mix: {repeat: maybe}",
        "params.yaml: mix.repeat: 'maybe' where true or false belongs; write one of them",
    ),
    "so many times": ("mix: {repeat: 3}", "params.yaml: mix.repeat: 3 where true or false belongs; write one of them"),
    "a test share above 1": ("split: {test: 20}", "params.yaml: split.test: 20.0 is out of range"),
    "a test share below 0": ("split: {test: -0.1}", "params.yaml: split.test: -0.1 is out of range; give a share from"),
    "a likeness below 0.7": ("split: {near: 0.69}", "params.yaml: split.near: 0.69 is out of range; give a likeness"),
    "a likeness above 1": ("split: {near: 80}", "params.yaml: split.near: 80.0 is out of range; give a likeness from"),
    "a likeness that is no number": ("split: {near: .nan}", "params.yaml: split.near: nan is out of range"),
    "a run of four words": ("decontaminate: {run: 4}", "params.yaml: decontaminate.run: 4 is out of range; give at le"),
    "half a word": ("decontaminate: {run: 13.5}", "params.yaml: decontaminate.run: 13.5 where a whole number"),
    "a question of one word": ("decontaminate: {changed: 1}", "params.yaml: decontaminate.changed: 1 is out of range"),
    "a gate in per cent": ("gate: {mmlu_drop: 2}", "params.yaml: gate.mmlu_drop: 2.0 is out of range"),
    "the other gate below 0": ("gate: {generated_drop: -.1}", "params.yaml: gate.generated_drop: -0.1 is out of range"),
    "too few resamples": ("score: {resamples: 10}", "params.yaml: score.resamples: 10 is out of range; give at least"),
    "a misspelt choice": ("split: {on_bad_row: sotp}", "params.yaml: split.on_bad_row: 'sotp' where one of its words"),
    "an open bracket": ("seed: 1\nmix:\n  ratio: [\n", "params.yaml:4: not valid YAML"),
    "a tab": ("mix:\n\tratio: 1\n", "params.yaml:2: not valid YAML"),
    "a key twice": ("seed: 1\nseed: 2\n", "params.yaml:2: not valid YAML: found duplicate key seed"),
    "a list": ("- seed\n", "params.yaml: write `key: value` lines"),
}


@pytest.mark.parametrize(("text", "wanted"), BAD_PARAMS.values(), ids=BAD_PARAMS)
def test_a_bad_parameter_is_one_line_with_its_key(tmp_path: Path, text: str, wanted: str) -> None:
    assert params_fault(tmp_path, text).startswith(wanted)


@pytest.mark.parametrize(
    "text", ["split: {near: 0.7}", "split: {near: 1}", "decontaminate: {run: 5}", "decontaminate: {changed: 2}"]
)
def test_a_limit_itself_is_allowed(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    load_params(tmp_path / "params.yaml")


def test_a_choice_that_does_not_exist_lists_those_that_do(tmp_path: Path) -> None:
    assert params_fault(tmp_path, "prompt: {taxonomy: all}").endswith("write none or full or shortlist")


def test_a_mix_may_have_weights_a_unit_and_a_total(tmp_path: Path) -> None:
    sources = "sources: {math: 2, reasoning-math: 1.0e-9, a b: 0}"
    text = f"mix: {{ratio: 0.5, unit: loss_tokens, {sources}, budget: total, total: 9}}"
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    mix = load_params(tmp_path / "params.yaml").mix
    assert (mix.unit, mix.budget, mix.total) == (Unit.loss_tokens, Budget.total, 9)
    assert mix.sources == {"math": 2.0, "reasoning-math": 1e-9, "a b": 0.0}


def test_null_for_weights_is_no_weights(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("mix: {sources: }", encoding="utf-8")
    assert load_params(tmp_path / "params.yaml").mix.sources == {}


def test_a_file_in_another_encoding_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes("profile: demo  # später".encode("latin-1"))
    with pytest.raises(InputError, match=r"params\.yaml: not UTF-8; save the file as UTF-8$"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("value", ["${interpolate.alpha}", "${nothere}", "${mix.", "a${b"])
def test_a_value_that_refers_to_another_is_refused_since_dvc_does_not_see_it_change(tmp_path: Path, value: str) -> None:
    told = params_fault(tmp_path, f'seed: 1  # ${{here}} is fine\nmix:\n  ratio: "{value}"\n')
    assert told == "params.yaml:3: `${` refers to another value, and DVC would not see that change; write the value"


@pytest.mark.parametrize(
    "text",
    ["mix: {sources: {null: 2}}", "null: 2", "seed: !!set {a, b}", "seed: &a [*a]", f"seed: {'[' * 999}{']' * 999}"],
)
def test_yaml_that_is_no_plain_tree_is_one_line(tmp_path: Path, text: str) -> None:
    assert params_fault(tmp_path, text).startswith("params.yaml: ")


BAD_PROFILES = {
    "a hub model without its commit": (
        "model: {hub: some/model}\ntrain: {lr: 1.0e-4}",
        "tiny.yaml: model.revision: pin the commit",
    ),
    "no model at all": (
        "model: {}\ntrain: {lr: 1.0e-4}",
        "tiny.yaml: model: give one of `hub` (with `revision`), `scratch` and `hosted`",
    ),
    "two models": (
        SCRATCH + "  hub: some/model\n  revision: 0123456789abcdef0123456789abcdef01234567\ntrain: {lr: 1.0e-4}",
        "tiny.yaml: model: give one of `hub` (with `revision`), `scratch` and `hosted`",
    ),
    "no train section": (MODEL, "tiny.yaml: train: a section is missing; write `key: value` lines"),
    "no model section": ("train: {lr: 1.0e-4}", "tiny.yaml: model: a section is missing; write `key: value` lines"),
    "a list of models": ("model: []\ntrain: {lr: 1.0e-4}", "tiny.yaml: model: [] where a section belongs; write `key:"),
    "a model without a name": (
        "model: {hosted: ''}\ntrain: {lr: 1.0e-4}",
        "tiny.yaml: model.hosted: '' is out of range; give the name by which the service knows the model",
    ),
    "no learning rate": (MODEL + "train: {epochs: 1}", "tiny.yaml: train.lr: a number is missing; write one such as"),
    "a section of tasks": (GOOD + "general: {}", "tiny.yaml: general: {} where a list belongs; write one such as [a"),
    "one task": (GOOD + "general: gsm8k", "tiny.yaml: general: 'gsm8k' where a list belongs; write one such as [a, b]"),
    "null for tasks": (GOOD + "general: ", "tiny.yaml: general: null where a list belongs; write one such as [a, b]"),
    "an endless adapter": (
        MODEL + "train: {lr: 1.0e-4, lora: {alpha: .inf}}",
        "tiny.yaml: train.lora.alpha: inf is out of range; give a number above 0",
    ),
    "a word for targets": (
        MODEL + "train: {lr: 1.0e-4, lora: {targets: all-linear}}",
        "tiny.yaml: train.lora.targets: 'all-linear' where a list belongs; write one such as [a, b]",
    ),
    "no step": (MODEL + "train: {lr: 0}", "tiny.yaml: train.lr: 0.0 is out of range"),
    "a step that is no number": (MODEL + "train: {lr: .nan}", "tiny.yaml: train.lr: nan is out of range"),
    "no epochs": (MODEL + "train: {lr: 1.0e-4, epochs: 0}", "tiny.yaml: train.epochs: 0.0 is out of range"),
    "endless epochs": (MODEL + "train: {lr: 1.0e-4, epochs: .inf}", "tiny.yaml: train.epochs: inf is out of range"),
    "no steps": (MODEL + "train: {lr: 1.0e-4, max_steps: 0}", "tiny.yaml: train.max_steps: 0 is out of range"),
    "warm-up only": (MODEL + "train: {lr: 1.0e-4, warmup: 1}", "tiny.yaml: train.warmup: 1.0 is out of range"),
    "an unknown optimiser": (
        MODEL + "train: {lr: 1.0e-4, optimizer: sgd}",
        "tiny.yaml: train.optimizer: 'sgd' where one of its words belongs; write adamw or muon",
    ),
    "an empty batch": (GOOD + "infer: {batch_size: 0}", "tiny.yaml: infer.batch_size: 0 is out of range"),
    "a limit of none": (GOOD + "infer: {limit: 0}", "tiny.yaml: infer.limit: 0 is out of range"),
    "fewer than no shots": (GOOD + "mmlu: {fewshot: -1}", "tiny.yaml: mmlu.fewshot: -1 is out of range"),
    "an unknown way to answer": (
        GOOD + "mmlu: {answer: word}",
        "tiny.yaml: mmlu.answer: 'word' where one of its words",
    ),
    "a commit that can move": (
        "model: {hub: some/model, revision: main}\ntrain: {lr: 1.0e-4}",
        "tiny.yaml: model.revision: 'main' can move; give the commit, 40 hexadecimal digits",
    ),
    "no rank": (
        MODEL + "train: {lr: 1.0e-4, lora: {rank: 0}}",
        "tiny.yaml: train.lora.rank: 0 is out of range",
    ),
    "an adapter on nothing": (
        MODEL + "train: {lr: 1.0e-4, lora: {targets: []}}",
        "tiny.yaml: train.lora.targets: [] is out of range",
    ),
    "muon for an adapter": (
        MODEL + "train: {lr: 1.0e-4, method: lora, optimizer: muon}",
        "tiny.yaml: train.optimizer: muon is out of range; give adamw",
    ),
    "muon under DeepSpeed": (
        MODEL + "train: {lr: 1.0e-4, deepspeed: zero2, optimizer: muon}",
        "tiny.yaml: train.optimizer: muon is out of range; give adamw",
    ),
    "an anchor that no GPU holds": (
        MODEL + "train: {lr: 1.0e-4, deepspeed: zero3, anchor: 0.1}",
        "tiny.yaml: train.anchor: 0.1 is out of range; give 0 under zero3",
    ),
    "an unknown way to share": (
        MODEL + "train: {lr: 1.0e-4, deepspeed: zero1}",
        "tiny.yaml: train.deepspeed: 'zero1' where one of its words belongs; write zero2 or zero3",
    ),
    "an adapter on a model from nothing": (
        SCRATCH.replace("{lr: 1.0e-2}", "{lr: 1.0e-2, method: lora}") + "train: {lr: 1.0e-4}",
        "tiny.yaml: model.scratch.train.method: lora is out of range",
    ),
    "an odd head": (
        SCRATCH.replace("head_dim: 4", "head_dim: 3") + "train: {lr: 1.0e-4}",
        "tiny.yaml: model.scratch.head_dim: 3 is out of range; give an even number",
    ),
    "heads that do not divide": (
        SCRATCH.replace("num_attention_heads: 2", "num_attention_heads: 3").replace("heads: 1", "heads: 2")
        + "train: {lr: 1.0e-4}",
        "tiny.yaml: model.scratch.num_key_value_heads: 2 is out of range; give a divisor",
    ),
    "fewer tokens than bytes": (
        SCRATCH.replace("vocab_size: 300", "vocab_size: 200") + "train: {lr: 1.0e-4}",
        "tiny.yaml: model.scratch.vocab_size: 200 is out of range",
    ),
    "half a model from scratch": (
        "model: {scratch: {vocab_size: 3}}\ntrain: {lr: 1.0e-4}",
        "tiny.yaml: model.scratch.hidden_size: a whole number is missing; write one such as 3",
    ),
}


@pytest.mark.parametrize(("text", "wanted"), BAD_PROFILES.values(), ids=BAD_PROFILES)
def test_a_bad_profile_is_one_line_with_its_key(tmp_path: Path, text: str, wanted: str) -> None:
    assert profile_fault(tmp_path, text).startswith(wanted)


def test_a_model_is_pinned_or_made_from_scratch(tmp_path: Path) -> None:
    assert profile(tmp_path, GOOD).model.revision == "0123456789abcdef0123456789abcdef01234567"
    made = profile(tmp_path, SCRATCH + "train: {lr: 1.0e-4}").model
    assert made.hub is None
    assert made.scratch is not None
    assert made.scratch.train.lr == 0.01


def test_a_missing_profile_lists_the_known_ones(tmp_path: Path) -> None:
    for name in ("small", "large"):
        (tmp_path / f"{name}.yaml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_profile("medium", tmp_path)
    wanted = f"params.yaml: profile: there is no {tmp_path}/medium.yaml; known profiles: large, small"
    assert str(caught.value) == wanted


def test_a_missing_parameter_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"params\.yaml: no such file$"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_no_generator_takes_is_refused(tmp_path: Path, seed: int) -> None:
    assert params_fault(tmp_path, f"seed: {seed}").startswith("params.yaml: seed: ")


def test_a_bare_number_is_one_line(tmp_path: Path) -> None:
    assert params_fault(tmp_path, "3\n") == "params.yaml: write `key: value` lines"


def test_a_number_for_a_section_names_the_section(tmp_path: Path) -> None:
    assert params_fault(tmp_path, "mix: 3").startswith("params.yaml: mix: ")


def test_a_control_character_is_one_line(tmp_path: Path) -> None:
    assert "not valid YAML" in params_fault(tmp_path, "seed: \x01\n")


def test_an_unknown_schedule_is_refused(tmp_path: Path) -> None:
    assert "train.schedule" in profile_fault(tmp_path, MODEL + "train: {lr: 1.0e-4, schedule: cosin}")


@pytest.mark.parametrize("decay", ["-1", ".nan"])
def test_an_impossible_weight_decay_is_refused(tmp_path: Path, decay: str) -> None:
    assert "train.weight_decay" in profile_fault(tmp_path, MODEL + f"train: {{lr: 1.0e-4, weight_decay: {decay}}}")


def test_a_fault_in_the_training_of_the_base_names_the_base(tmp_path: Path) -> None:
    text = SCRATCH.replace("lr: 1.0e-2", "lr: 5") + "train: {lr: 1.0e-4}"
    assert profile_fault(tmp_path, text).startswith("tiny.yaml: model.scratch.train.lr: 5")
