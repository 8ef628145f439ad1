"""A data-mixing recipe of Nova sets the mix in params.yaml, and the mix can be written as one."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from alloy.commands import nova_recipe
from alloy.commands.nova_recipe import round_percentages
from alloy.core.files import InputError
from alloy.core.settings import load_seed
from alloy.mixing.nova_names import CANONICAL, NOVA_MIX, get_canonical_categories
from alloy.mixing.settings import Mix

ROOT = Path(__file__).parents[2]
PARAMS = (ROOT / "params.yaml").read_text(encoding="utf-8")
RECIPE = """\
run: {name: my-run}
data_mixing:
  dataset_catalog: sft_1p5_text_chat
  sources:
    customer_data:
      percent: 75   # of the whole
    nova_data:
      math: 30.5
      agents: 0
      reasoning-code: 69.5
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    Path("recipe.yaml").write_text(RECIPE)
    return tmp_path


def run_nova(command: str, *files: str) -> None:
    {"read": nova_recipe.read_recipe, "write": nova_recipe.write_recipe}[command](
        *map(Path, files) if files else (None,)
    )


def read_recipe_command() -> str:
    run_nova("read", "recipe.yaml")
    return Path("params.yaml").read_bytes().decode()


def load_params() -> dict[str, Any]:
    run_nova("write", "out.yaml")
    return yaml.safe_load(Path("out.yaml").read_text())["data_mixing"]


def find_error(*arguments: str) -> str:
    before = Path("params.yaml").read_bytes()
    with pytest.raises(InputError) as caught:
        run_nova(*arguments)
    assert Path("params.yaml").read_bytes() == before
    assert not Path("out.yaml").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_recipe_sets_ratio_and_sources_and_nothing_else(project: Path) -> None:
    edited = read_recipe_command()
    mix = Mix.load()
    assert (mix.ratio, mix.sources) == (0.25, {"math": 30.5, "reasoning-code": 69.5})
    old, new = PARAMS.splitlines(), edited.splitlines()
    kept = [line for line in old if line.lstrip().split(":")[0] not in ("ratio", "sources")]
    assert [line for line in new if line in kept] == kept
    assert len(new) == len(old) + 2
    for key in ("ratio", "sources"):
        before, after = (next(line for line in lines if line.startswith(f"  {key}:")) for lines in (old, new))
        assert before.index("#") == after.index("#")
        assert before.partition("#")[2] == after.partition("#")[2]


def test_a_second_recipe_replaces_the_first(project: Path) -> None:
    first = read_recipe_command()
    Path("recipe.yaml").write_text(RECIPE.replace("75", "10").replace("30.5", "100").replace("69.5", "0"))
    read_recipe_command()
    mix = Mix.load()
    assert (mix.ratio, mix.sources) == (0.9, {"math": 100})
    Path("recipe.yaml").write_text(RECIPE)
    assert read_recipe_command() == first


SHAPES = {
    "on one line": "mix: {ratio: 0.5, sources: {a: 1}, repeat: true}\nseed: 3\n",
    "without a comment": "mix:\n  ratio: 0.5\n  sources: {}\nseed: 3\n",
    "without a last line end": "seed: 3\nmix:\n  ratio: 0.5\n  sources: {}",
    "sources one a line": "mix:\n  sources:  # which\n    a: 1  # this\n    b: 2\n  # how\n  ratio: 0.5\nseed: 3\n",
    "sources last": "seed: 3\nmix:\n    ratio: 0.5 # half\n    sources:\n        a: 1\n        b: 2",
    "sources over lines": "mix:\n  ratio: 0.5\n  sources: {a: 1,\n    b: 2}  # two\n  repeat: true\nseed: 3\n",
    "quoted keys": "'mix':\n  \"ratio\": 0.5\n  'sources': {'a b': 1}\nseed: 3\n",
}


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_params_of_any_shape_are_edited_in_place(project: Path, text: str, line_end: str) -> None:
    Path("params.yaml").write_bytes(text.replace("\n", line_end).encode())
    edited = read_recipe_command()
    mix = Mix.load()
    assert (mix.ratio, mix.sources) == (0.25, {"math": 30.5, "reasoning-code": 69.5})
    assert load_seed() == 3
    assert mix.repeat == ("repeat: true" in text)
    assert edited.count("\n") == edited.count(line_end)
    for comment in ("# which", "# half", "# two"):
        assert (comment in edited) == (comment in text)


def test_the_mix_may_be_below_training_config(project: Path) -> None:
    Path("recipe.yaml").write_text(yaml.safe_dump({"training_config": yaml.safe_load(RECIPE)}))
    read_recipe_command()
    assert Mix.load().ratio == 0.25


def test_percents_may_be_strings(project: Path) -> None:
    Path("recipe.yaml").write_text(RECIPE.replace("30.5", "'30.5'").replace("75", '"75"'))
    read_recipe_command()
    assert Mix.load().sources["math"] == 30.5


# What is replaced in the recipe, by what, the location in the error, and a word or value in it.
BAD = {
    "no section": ("data_mixing", "mixing", "recipe.yaml", "`data_mixing`"),
    "no sources": ("sources", "source", "recipe.yaml:3: data_mixing", "`sources`"),
    "no customer": ("customer_data", "customers", "recipe.yaml:5: data_mixing.sources", "`customer_data`"),
    "no percent": ("percent", "share", "recipe.yaml:6: data_mixing.sources.customer_data", "`percent`"),
    "over 100": ("75", "101", "recipe.yaml:6: data_mixing.sources.customer_data.percent", "got 101"),
    "negative": ("30.5", "-1", "recipe.yaml:8: data_mixing.sources.nova_data.math", "got -1"),
    "a word": ("30.5", "much", "recipe.yaml:8: data_mixing.sources.nova_data.math", "got much"),
    "not a number": ("30.5", ".nan", "recipe.yaml:8: data_mixing.sources.nova_data.math", "got nan"),
    "a placeholder": ("75", "{{x}}", "recipe.yaml:6: data_mixing.sources.customer_data.percent", "got a mapping"),
    "a list": ("30.5", "[30.5]", "recipe.yaml:8: data_mixing.sources.nova_data.math", "got a list"),
    "a sum of 99.9": ("30.5", "30.4", "recipe.yaml:8: data_mixing.sources.nova_data", "99.9"),
    "not YAML": ("nova_data:", "nova_data: [", "recipe.yaml:9", "YAML"),
    "not a mapping": (RECIPE, "- 1\n", "recipe.yaml", "`key: value`"),
}


@pytest.mark.parametrize(("old", "new", "location", "value"), BAD.values(), ids=BAD)
def test_an_error_names_line_and_key_and_nothing_changes(
    project: Path, old: str, new: str, location: str, value: str
) -> None:
    assert RECIPE.count(old) >= 1
    Path("recipe.yaml").write_text(RECIPE.replace(old, new, 1))
    message = find_error("read", "recipe.yaml")
    assert message.startswith(f"{location}: ")
    assert value in message


def test_a_missing_recipe_is_named_in_the_error(project: Path) -> None:
    assert find_error("read", "x.yaml").startswith("x.yaml: ")


def test_a_file_that_is_not_text_names_the_byte(project: Path) -> None:
    Path("recipe.yaml").write_bytes(b"a: \xff\n")
    assert find_error("read", "recipe.yaml").startswith("recipe.yaml: byte 4 ")


def test_params_without_the_key_are_named_in_the_error(project: Path) -> None:
    Path("params.yaml").write_text("mix:\n  ratio: 0.5\n")
    message = find_error("read", "recipe.yaml")
    assert message.startswith("params.yaml:2: mix: ")
    assert "`sources`" in message


def test_a_mix_is_written_with_every_category_of_nova(project: Path) -> None:
    read_recipe_command()
    mixing = load_params()
    assert mixing["sources"]["customer_data"] == {"percent": 75}
    assert mixing["sources"]["nova_data"] == {**dict.fromkeys(NOVA_MIX, 0), "math": 30.5, "reasoning-code": 69.5}


def test_a_mix_without_weights_becomes_the_default_nova_mix(project: Path) -> None:
    mixing = load_params()
    assert mixing["sources"] == {"customer_data": {"percent": 100}, "nova_data": NOVA_MIX}


def test_without_a_file_the_recipe_goes_to_standard_output(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mixing = load_params()
    run_nova("write")
    assert yaml.safe_load(capsys.readouterr().out) == {"data_mixing": mixing}


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.3, 0.25, 1 / 3, 0.7, 1.0])
@pytest.mark.parametrize("sources", [{"math": 1.0}, {"math": 2, "chat": 1}, {"rag": 1, "code": 1, "stem": 1}])
def test_what_is_written_reads_as_the_same_mix(project: Path, ratio: float, sources: dict[str, float]) -> None:
    Path("params.yaml").write_text(yaml.safe_dump({"mix": {"ratio": ratio, "sources": sources}}))
    run_nova("write", "recipe.yaml")
    once = read_recipe_command()
    mix = Mix.load()
    assert mix.ratio == pytest.approx(ratio, abs=1e-9)
    total = sum(sources.values())
    assert mix.sources == pytest.approx({name: 100 * weight / total for name, weight in sources.items()}, abs=0.01)
    run_nova("write", "recipe.yaml")
    assert read_recipe_command() == once


def test_a_source_that_nova_does_not_have_is_refused(project: Path) -> None:
    Path("params.yaml").write_text("mix: {sources: {math: 1, gsm8k_train: 1}}")
    message = find_error("write", "out.yaml")
    assert message.startswith("params.yaml: mix.sources: ")
    assert "'gsm8k_train'" in message
    assert "agents, baseline, " in message


@pytest.mark.parametrize("weights", [[1, 1, 1], [1] * 7, [0, 1, 0], [1e-9, 1], [0.1, 0.2, 0.3], [5e8, 3, 1e9]])
def test_percents_of_two_decimals_sum_to_100(weights: list[float]) -> None:
    shares = round_percentages({str(index): weight for index, weight in enumerate(weights)})
    assert sum(round(100 * share) for share in shares.values()) == 10_000
    for index, weight in enumerate(weights):
        assert shares[str(index)] == pytest.approx(100 * weight / sum(weights), abs=0.0101)
        assert round(shares[str(index)], 2) == shares[str(index)]


def test_novas_default_mix_sums_to_100_and_is_not_changed() -> None:
    assert round_percentages(NOVA_MIX) == NOVA_MIX
    assert round(sum(NOVA_MIX.values()), 9) == 100


def test_a_category_of_nova_has_the_name_of_the_general_data() -> None:
    assert get_canonical_categories("reasoning-math") == get_canonical_categories("math") == ("math",)
    assert get_canonical_categories("rag") == ("reading-comprehension",)
    assert "summarization" in get_canonical_categories("baseline")


@pytest.mark.parametrize("name", ["agents", "identity", "gsm8k_train", "stem", ""])
def test_a_name_without_a_counterpart_stays_as_it_is(name: str) -> None:
    assert get_canonical_categories(name) == (name,)


def test_a_canonical_category_maps_to_itself() -> None:
    for called in CANONICAL.values():
        for name in called:
            assert get_canonical_categories(name) == (name,)
