"""Take the mix from a data-mixing recipe of Amazon Nova, or write one.

Run     python -m alloy.commands.nova_recipe read recipe.yaml     sets mix.ratio and mix.sources in params.yaml
        python -m alloy.commands.nova_recipe write [recipe.yaml]  writes the recipe that these two are, else to standard output

A recipe has `data_mixing: {sources: {customer_data: {percent}, nova_data: {<category>: percent, ..}}}`, alone or under
`training_config`. The customer's percent is of the whole, Nova's are of the rest and sum to 100. All else in
params.yaml stays as it is, letter by letter. The form of a recipe: the guide that alloy/mixing/nova_names.py names.
"""

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import yaml

from alloy.core.experiment import Mix
from alloy.core.files import InputError, write_whole
from alloy.core.params import load_params
from alloy.core.stage import run
from alloy.core.yaml_edit import Place, replace_values
from alloy.mixing.nova_names import NOVA_MIX

PARAMS = Path("params.yaml")
CATALOG = "sft_1p5_text_chat"  # of Nova 2, text


class Recipe(NamedTuple):
    """Percent of customer data in the whole, and percents of Nova's categories in the rest."""

    customer: float
    nova: dict[str, float]


def parse_recipe(text: str, path: Path) -> Recipe:
    """Return the mix in a recipe; raise `InputError` with its line where it is none."""
    top = Place.of(text, path)
    trained = top.get("training_config")
    mixing = top.get("data_mixing") or (trained and trained.get("data_mixing"))
    if mixing is None:
        raise InputError(f"{path}: there is no section `data_mixing`; give a recipe that mixes")
    sources = mixing.need("sources")
    percent = sources.need("customer_data").need("percent")
    customer = _percent(percent)
    nova_data = sources.need("nova_data")
    nova = {name: _percent(place) for name, place in nova_data.items()}
    total = math.fsum(nova.values())
    if round(total, 6) != 100:
        raise InputError(f"{nova_data}: percents sum to {total:g}; let those of Nova's categories sum to 100")
    return Recipe(customer, nova)


def _percent(place: Place) -> float:
    try:
        value = float(place.text())
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise InputError(f"{place}: {place.text()} is no percent; write a number from 0 to 100")
    return value


def settings(recipe: Recipe) -> tuple[float, dict[str, float]]:
    """Return `mix.ratio` and `mix.sources`; categories of 0 percent are left out."""
    return round(1 - recipe.customer / 100, 10), {name: value for name, value in recipe.nova.items() if value}


def edit_params(text: str, recipe: Recipe, path: Path) -> str:
    """Return the text of params.yaml with the recipe's ratio and sources in their places."""
    ratio, sources = settings(recipe)
    return replace_values(text, path, "mix", {"ratio": ratio, "sources": _plain(sources)})


def _plain(numbers: dict[str, float]) -> dict[str, float]:
    """Return the numbers as a person writes them: 2, not 2.0."""
    return {name: int(value) if value == int(value) else value for name, value in numbers.items()}


def recipe_of(mix: Mix) -> Recipe:
    """Return the recipe of a mix. Without weights it is Nova's own mix; a name that Nova lacks raises."""
    if unknown := [name for name, weight in mix.sources.items() if weight and name not in NOVA_MIX]:
        raise InputError(
            f"{PARAMS}: mix.sources: '{unknown[0]}' is no category of Nova's; write one of {', '.join(NOVA_MIX)}"
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


def main() -> None:
    """Read or write."""
    parser = argparse.ArgumentParser("python -m alloy.commands.nova_recipe")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("read", help="set mix.ratio and mix.sources in params.yaml").add_argument("recipe", type=Path)
    commands.add_parser("write", help="write a recipe").add_argument("recipe", type=Path, nargs="?")
    given = parser.parse_args()
    mix = load_params(PARAMS).mix
    if given.command == "write":
        text = recipe_text(recipe_of(mix))
        if given.recipe is None:
            print(text, end="")
        else:
            write_whole(given.recipe, lambda part: part.write_text(text, encoding="utf-8"))
        return
    recipe = parse_recipe(read_text(given.recipe), given.recipe)
    edited = edit_params(read_text(PARAMS), recipe, PARAMS)
    write_whole(PARAMS, lambda part: part.write_bytes(edited.encode()))
    ratio, sources = settings(recipe)
    print(f"recipe: mix.ratio {ratio:g}, mix.sources with {len(sources)} categories, in {PARAMS}")


def read_text(path: Path) -> str:
    """Return a file's text, its line ends as they are."""
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; name a recipe, a YAML file") from None
    except UnicodeDecodeError as fault:
        raise InputError(f"{path}: byte {fault.start + 1} is not UTF-8; save the file as UTF-8") from None


if __name__ == "__main__":
    run(main)
