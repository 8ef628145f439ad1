"""Take the mix from a data-mixing recipe of Amazon Nova, or write one.

Run     alloy nova recipe read recipe.yaml     sets mix.ratio and mix.sources in params.yaml
        alloy nova recipe write [recipe.yaml]  writes the recipe that these two are, else to standard output

A recipe has `data_mixing: {sources: {customer_data: {percent}, nova_data: {<category>: percent, ..}}}`, alone or under
`training_config`. The customer's percent is of the whole, Nova's are of the rest and sum to 100. All else in
params.yaml stays as it is, letter by letter. The form of a recipe: the guide that alloy/mixing/nova_names.py names.
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

from alloy.core.files import InputError, write_whole
from alloy.core.settings import PARAMS
from alloy.core.yaml_fix import how_to_fix
from alloy.core.yaml_text import check_yaml
from alloy.mixing.nova_names import NOVA_MIX
from alloy.mixing.settings import Mix

CATALOG = "sft_1p5_text_chat"  # of Nova 2, text


class Recipe(NamedTuple):
    """Percent of customer data in the whole, and percents of Nova's categories in the rest."""

    customer: float
    nova: dict[str, float]


def parse_recipe(text: str, path: Path) -> Recipe:
    """Return the mix in a recipe; raise `InputError` with its line if there is none."""
    top = Value(_load(text, path), path)
    trained = top.get("training_config")
    mixing = top.get("data_mixing") or (trained and trained.get("data_mixing"))
    if mixing is None:
        raise InputError(f"{path}: the section `data_mixing` is missing; add it, a recipe needs it")
    sources = mixing.need("sources")
    customer = _percent(sources.need("customer_data").need("percent"))
    nova_data = sources.need("nova_data")
    nova = {name: _percent(nova_data.need(name)) for name in nova_data.names()}
    total = math.fsum(nova.values())
    if round(total, 6) != 100:
        raise InputError(f"{nova_data}: percents sum to {total:g}; let those of Nova's categories sum to 100")
    return Recipe(customer, nova)


@dataclass(frozen=True)
class Value:
    """A value in a YAML file that knows where it is; as a string: `file:line: key`."""

    value: Any
    path: Path
    key: str = ""
    line: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.key}"

    def get(self, name: str) -> "Value | None":
        """Return the value of a key, or None."""
        if not isinstance(self.value, CommentedMap) or name not in self.value:
            return None
        key = f"{self.key}.{name}" if self.key else name
        return Value(self.value[name], self.path, key, self.value.lc.value(name)[0] + 1)

    def need(self, name: str) -> "Value":
        """Return the value of a key; a missing one raises."""
        found = self.get(name)
        if found is None:
            raise InputError(f"{self}: there is no `{name}`; add it")
        return found

    def names(self) -> list[str]:
        """Return the keys; anything but a mapping raises."""
        if not isinstance(self.value, CommentedMap):
            raise InputError(f"{self}: expected `key: value` lines below it")
        return list(self.value)


def _percent(given: Value) -> float:
    try:
        value = float(given.value)
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value <= 100:
        kinds = {dict: "a mapping", list: "a list"}
        shown = next((name for kind, name in kinds.items() if isinstance(given.value, kind)), given.value)
        raise InputError(f"{given}: expected a percentage from 0 to 100, got {shown}")
    return value


def _yaml() -> YAML:
    """Return a reader and writer that keeps comments, quotes, line lengths and `null`."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10**6
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def _load(text: str, path: Path) -> CommentedMap:
    """Return a YAML file, which must be a mapping."""
    check_yaml(text, path)
    try:
        given = _yaml().load(text)
    except RecursionError:
        raise InputError(f"{path}: nested too deeply; write plain `key: value` lines") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{path}{line}: not valid YAML: {reason}; {how_to_fix(reason)}") from None
    if not isinstance(given, CommentedMap):
        raise InputError(f"{path}: expected `key: value` lines; write them")
    return given


def settings(recipe: Recipe) -> tuple[float, dict[str, float]]:
    """Return `mix.ratio` and `mix.sources`; categories of 0 percent are left out."""
    return round(1 - recipe.customer / 100, 10), {name: value for name, value in recipe.nova.items() if value}


def edit_params(text: str, recipe: Recipe, path: Path) -> str:
    """Return the text of params.yaml with the recipe's ratio and sources in their places, all else as it was.

    Comments beside the two keys stay, those within the old sources go.
    """
    ratio, sources = settings(recipe)
    plain = text.replace("\r\n", "\n")
    given = _load(plain, path)
    section = Value(given, path).need("mix")
    for key, value in (("ratio", ratio), ("sources", CommentedMap(_plain(sources)))):
        section.need(key)
        section.value[key] = value
    yaml, out = _yaml(), io.StringIO()
    if indent := load_yaml_guess_indent(plain)[1]:
        yaml.indent(mapping=indent)
    yaml.dump(given, out)
    return out.getvalue().replace("\n", "\r\n" if "\r\n" in text else "\n")


def _plain(numbers: dict[str, float]) -> dict[str, float]:
    """Return the numbers as a person writes them: 2, not 2.0."""
    return {name: int(value) if value == int(value) else value for name, value in numbers.items()}


def recipe_of(mix: Mix) -> Recipe:
    """Return the recipe of a mix. Without weights it is Nova's own mix; a name that Nova lacks raises."""
    if unknown := [name for name, weight in mix.sources.items() if weight and name not in NOVA_MIX]:
        raise InputError(
            f"{PARAMS}: mix.sources: '{unknown[0]}' is not one of Nova's categories; use one of {', '.join(NOVA_MIX)}"
        )
    weights = mix.sources or NOVA_MIX
    return Recipe(round(100 * (1 - mix.ratio), 10), percents({name: weights.get(name, 0.0) for name in NOVA_MIX}))


def percents(weights: dict[str, float]) -> dict[str, float]:
    """Return weights as percents of two decimals that sum to 100: what is lost by rounding down goes to the nearest."""
    total = math.fsum(weights.values())
    exact = {name: 10_000 * weight / total for name, weight in weights.items()}
    whole = {name: math.floor(round(share, 6)) for name, share in exact.items()}
    lost = 10_000 - sum(whole.values())
    for name in sorted(exact, key=lambda name: whole[name] - exact[name])[:lost]:
        whole[name] += 1
    return {name: share / 100 for name, share in whole.items()}


def recipe_text(recipe: Recipe) -> str:
    """Return the recipe as YAML, every category named as a job wants it."""
    sources = {"customer_data": _plain({"percent": recipe.customer}), "nova_data": _plain(recipe.nova)}
    return yaml.safe_dump({"data_mixing": {"dataset_catalog": CATALOG, "sources": sources}}, sort_keys=False)


def read(file: Path) -> None:
    """Set mix.ratio and mix.sources in params.yaml to those of the recipe in `file`."""
    recipe = parse_recipe(read_text(file), file)
    edited = edit_params(read_text(PARAMS), recipe, PARAMS)
    write_whole(PARAMS, lambda part: part.write_bytes(edited.encode()))
    ratio, sources = settings(recipe)
    print(f"recipe: mix.ratio {ratio:g}, mix.sources with {len(sources)} categories, in {PARAMS}")


def write(file: Path | None) -> None:
    """Write the recipe of params.yaml to `file`, or to standard output."""
    text = recipe_text(recipe_of(Mix.load()))
    if file is None:
        print(text, end="")
    else:
        write_whole(file, lambda part: part.write_text(text, encoding="utf-8"))


def read_text(path: Path) -> str:
    """Return a file's text, its line ends as they are."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; name a recipe, a YAML file") from None
    except UnicodeDecodeError as fault:
        raise InputError(f"{path}: byte {fault.start + 1} is not UTF-8; save the file as UTF-8") from None
