"""Set the mix from a data-mixing recipe of Amazon Nova, or write the mix as a recipe.

Run     alloy nova recipe read recipe.yaml     sets mix.ratio and mix.sources in params.yaml
        alloy nova recipe write [recipe.yaml]  writes both as a recipe; without a file, to standard output

A recipe has `data_mixing: {sources: {customer_data: {percent}, nova_data: {<category>: percent, ...}}}`, at the top or
under `training_config`. The percentage of customer data is of the whole mix. Those of Nova's categories are of the
general data, and sum to 100. Nothing else in params.yaml changes. The guide that
documents recipes is named in alloy/mixing/nova_names.py.
"""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.util import load_yaml_guess_indent

from alloy.core.files import InputError, write_atomically
from alloy.core.settings import PARAMS
from alloy.core.yaml_fix import how_to_fix
from alloy.core.yaml_text import check_yaml
from alloy.mixing.nova_names import NOVA_MIX
from alloy.mixing.settings import Mix

CATALOG = "sft_1p5_text_chat"  # of Nova 2, text


class Recipe(NamedTuple):
    """Percentage of customer data in the mix, and percentages of Nova's categories in the general data."""

    customer: float
    nova: dict[str, float]


def parse_recipe(text: str, path: Path) -> Recipe:
    """Return the mix in a recipe; raise `InputError` with the line if it is missing or invalid."""
    top = Value(_load_mapping(text, path), path)
    config = top.get("training_config")
    mixing = top.get("data_mixing") or (config and config.get("data_mixing"))
    if mixing is None:
        raise InputError(f"{path}: expected a section `data_mixing`; add the section of a data-mixing recipe")
    sources = mixing.require("sources")
    customer = _read_percentage(sources.require("customer_data").require("percent"))
    nova_data = sources.require("nova_data")
    nova = {name: _read_percentage(nova_data.require(name)) for name in nova_data.list_keys()}
    total = math.fsum(nova.values())
    if round(total, 6) != 100:
        raise InputError(f"{nova_data}: expected percentages that sum to 100, got a sum of {total:g}")
    return Recipe(customer, nova)


@dataclass(frozen=True)
class Value:
    """A value in a YAML file with its location; as a string: `file:line: key`, or `file:line` for the whole file."""

    value: Any
    path: Path
    key: str = ""
    line: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.key}" if self.key else f"{self.path}:{self.line}"

    def get(self, name: str) -> "Value | None":
        """Return the value of a key, or None."""
        if not isinstance(self.value, CommentedMap) or name not in self.value:
            return None
        key = f"{self.key}.{name}" if self.key else name
        return Value(self.value[name], self.path, key, self.value.lc.value(name)[0] + 1)

    def require(self, name: str) -> "Value":
        """Return the value of a key; a missing key raises `InputError`."""
        value = self.get(name)
        if value is None:
            raise InputError(f"{self}: expected a key `{name}`; add it")
        return value

    def list_keys(self) -> list[str]:
        """Return the keys; a value that is not a mapping raises `InputError`."""
        if not isinstance(self.value, CommentedMap):
            raise InputError(f"{self}: expected `key: value` lines below it")
        return list(self.value)


def _read_percentage(entry: Value) -> float:
    try:
        value = float(entry.value)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value <= 100:
        kinds = {dict: "a mapping", list: "a list"}
        shown = next((name for kind, name in kinds.items() if isinstance(entry.value, kind)), entry.value)
        raise InputError(f"{entry}: expected a percentage from 0 to 100, got {shown}")
    return value


def _make_yaml() -> YAML:
    """Return a reader and writer that keeps comments, quotes, line lengths and `null`."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10**6
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def _load_mapping(text: str, path: Path) -> CommentedMap:
    """Return the content of a YAML file, which must be a mapping."""
    check_yaml(text, path)
    try:
        content = _make_yaml().load(text)
    except RecursionError:
        raise InputError(f"{path}: nested too deeply; write plain `key: value` lines") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{path}{line}: not valid YAML: {reason}; {how_to_fix(reason)}") from None
    if not isinstance(content, CommentedMap):
        raise InputError(f"{path}: expected `key: value` lines")
    return content


def to_mix_settings(recipe: Recipe) -> tuple[float, dict[str, float]]:
    """Return `mix.ratio` and `mix.sources`, without categories of 0 percent."""
    return round(1 - recipe.customer / 100, 10), {name: value for name, value in recipe.nova.items() if value}


def edit_params(text: str, recipe: Recipe, path: Path) -> str:
    """Return the text of params.yaml with the ratio and sources of the recipe; nothing else changes.

    Comments next to the two keys are kept. Comments inside the old sources are removed.
    """
    ratio, sources = to_mix_settings(recipe)
    plain = text.replace("\r\n", "\n")
    content = _load_mapping(plain, path)
    section = Value(content, path).require("mix")
    for key, value in (("ratio", ratio), ("sources", CommentedMap(_drop_zero_decimals(sources)))):
        section.require(key)
        section.value[key] = value
    yaml, out = _make_yaml(), io.StringIO()
    if indent := load_yaml_guess_indent(plain)[1]:
        yaml.indent(mapping=indent)
    yaml.dump(content, out)
    return out.getvalue().replace("\n", "\r\n" if "\r\n" in text else "\n")


def _drop_zero_decimals(numbers: dict[str, float]) -> dict[str, float]:
    """Return the numbers as people write them: 2, not 2.0."""
    return {name: int(value) if value == int(value) else value for name, value in numbers.items()}


def to_recipe(mix: Mix) -> Recipe:
    """Return a mix as a recipe; without weights, Nova's own mix. An unknown category raises `InputError`."""
    if unknown := [name for name, weight in mix.sources.items() if weight and name not in NOVA_MIX]:
        raise InputError(
            f"{PARAMS}: mix.sources: expected categories of Nova ({', '.join(NOVA_MIX)}), got '{unknown[0]}'"
        )
    weights = mix.sources or NOVA_MIX
    return Recipe(
        round(100 * (1 - mix.ratio), 10), round_percentages({name: weights.get(name, 0.0) for name in NOVA_MIX})
    )


def round_percentages(weights: dict[str, float]) -> dict[str, float]:
    """Return weights as percentages with two decimals that sum to 100 (largest remainder method).

    1. Turn the weights into hundredths of a percent, and round each down.
    2. Count the hundredths that are missing to 10,000.
    3. Give one of them to each of the weights that lost most by rounding down.

    For example, three equal weights are 33.34, 33.33 and 33.33.
    """
    total = math.fsum(weights.values())
    exact = {name: 10_000 * weight / total for name, weight in weights.items()}
    whole = {name: math.floor(round(share, 6)) for name, share in exact.items()}
    missing = 10_000 - sum(whole.values())
    for name in sorted(exact, key=lambda name: whole[name] - exact[name])[:missing]:
        whole[name] += 1
    return {name: share / 100 for name, share in whole.items()}


def format_recipe(recipe: Recipe) -> str:
    """Return the recipe as YAML. It names every category, as a job expects it."""
    sources = {
        "customer_data": _drop_zero_decimals({"percent": recipe.customer}),
        "nova_data": _drop_zero_decimals(recipe.nova),
    }
    return yaml.safe_dump({"data_mixing": {"dataset_catalog": CATALOG, "sources": sources}}, sort_keys=False)


def read_recipe(file: Path) -> None:
    """Set mix.ratio and mix.sources in params.yaml from the recipe in `file`."""
    recipe = parse_recipe(read_text(file), file)
    edited = edit_params(read_text(PARAMS), recipe, PARAMS)
    write_atomically(PARAMS, lambda file: file.write_bytes(edited.encode()))
    ratio, sources = to_mix_settings(recipe)
    print(f"recipe: mix.ratio {ratio:g}, mix.sources with {len(sources)} categories, in {PARAMS}")


def write_recipe(file: Path | None) -> None:
    """Write the mix of params.yaml as a recipe to `file`, or to standard output."""
    text = format_recipe(to_recipe(Mix.load()))
    if file is None:
        print(text, end="")
    else:
        write_atomically(file, lambda file: file.write_text(text, encoding="utf-8"))


def read_text(path: Path) -> str:
    """Return the text of a file, with its line ends unchanged."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; expected the YAML file of a recipe") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from None
