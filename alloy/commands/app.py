"""The `alloy` command: its subcommands and their arguments; each imports what does its work when it is called."""

from pathlib import Path
from typing import Annotated, Any

import typer

from alloy.core.stage import run

Given = typer.Argument
Flag = typer.Option

SETTINGS: dict[str, Any] = {"no_args_is_help": True, "rich_markup_mode": None}
app = typer.Typer(
    help="Fine-tune a language model on customer comments without making it forget the rest.",
    add_completion=False,
    pretty_exceptions_enable=False,
    **SETTINGS,
)
check = typer.Typer(help="Check what is committed and what is cached.", **SETTINGS)
nova = typer.Typer(help="Amazon Nova: training files, recipes.", **SETTINGS)
recipe = typer.Typer(help="Read or write a data-mixing recipe of Amazon Nova.", **SETTINGS)
app.add_typer(check, name="check")
app.add_typer(nova, name="nova")
nova.add_typer(recipe, name="recipe")


@app.command()
def classify(
    comments: Annotated[
        str, Given(help="JSON Lines, a JSON array or a CSV file with `text`, or plain lines; - is standard input")
    ],
    model: Annotated[Path, Flag(help="the folder of a model")] = Path("models/tuned"),
) -> None:
    """Label comments with the tuned model.

    Prints one JSON object per comment. After an interruption the same command goes on where it was.
    """
    from alloy.commands.classify import main

    main(comments, model)


@app.command()
def sweep(
    ratios: Annotated[str, Flag(help="mix ratios, with commas between them")] = "0,0.05,0.1,0.25,0.5",
    lrs: Annotated[str, Flag(help="learning rates, with commas between them; the profile's, if none is given")] = "",
    mmlu_drop: Annotated[str, Flag(help="largest loss of MMLU accuracy against base that may be recommended")] = "",
) -> None:
    """Run an experiment per mix ratio and learning rate.

    Says which to take at the end. After a kill it goes on where it was.
    """
    from alloy.sweep.runner import main

    main(ratios, lrs, mmlu_drop)


@app.command()
def frontier(
    mmlu_drop: Annotated[str, Flag(help="largest loss of MMLU accuracy against base that may be recommended")] = "",
) -> None:
    """Say which experiment of this commit to take."""
    from alloy.sweep.frontier import conclude

    conclude(mmlu_drop)


@app.command()
def trace(step: Annotated[int, Given(help="a training step, from 1")]) -> None:
    """Print the rows that a training step took."""
    from alloy.commands.trace import main

    main(step)


@app.command()
def review(
    base: Annotated[str, Given(help="a branch, tag or commit; the commit where HEAD left it is compared")],
    head: Annotated[str, Given(help="another revision than the files in this folder")] = "",
) -> None:
    """Print what changed since a commit, in Markdown."""
    from alloy.commands.review import main

    main(base, head)


@app.command()
def cost(
    profile: Annotated[str, Given(help="the name of a profile")],
    processes: Annotated[int, Given(help="how many GPUs train together", min=1)] = 1,
    config: Annotated[Path | None, Given(help="a model's config.json, instead of the hub's")] = None,
) -> None:
    """Estimate what training a profile costs.

    Memory, FLOPs and GPU hours. The model's configuration comes from the hub unless a file is given.
    """
    from alloy.commands.cost import main

    main(profile, processes, config)


@app.command()
def grammar() -> None:
    """Print the grammar (EBNF) of the answers.

    For a server that takes a grammar with each request.
    """
    from alloy.commands.print_grammar import main

    main()


@app.command()
def smoke(
    folder: Annotated[Path, Flag(help="where the clone is made; what is there is removed")] = Path(".dvc/tmp/smoke"),
) -> None:
    """Run the last commit at the smallest scale.

    In a clone, on the demo's data: neither results nor customers' comments are touched.
    """
    from alloy.commands.smoke import main

    main(folder)


@check.command()
def lock() -> None:
    """Check that committed metrics fit the commit.

    They must be those of the committed code, params and data. No data is needed to ask.
    """
    from alloy.commands.check_lock import main

    main()


@check.command()
def cache() -> None:
    """Remove corrupt files from DVC's cache."""
    from alloy.commands.check_cache import main

    main()


@nova.command()
def export(folder: Annotated[Path, Given(help="where to write")] = Path("data/converse")) -> None:
    """Write the mix and the test set for Nova.

    In Converse format, as a customization job reads them.
    """
    from alloy.commands.nova_export import main

    main(folder)


@recipe.command()
def read(file: Annotated[Path, Given(help="a recipe, a YAML file")]) -> None:
    """Set mix.ratio and mix.sources by a recipe."""
    from alloy.commands.nova_recipe import read

    read(file)


@recipe.command()
def write(file: Annotated[Path | None, Given(help="where to write; standard output, if none is given")] = None) -> None:
    """Write the recipe of params.yaml."""
    from alloy.commands.nova_recipe import write

    write(file)


def main() -> None:
    """Run the command that the arguments name."""
    run(app)
