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
check = typer.Typer(rich_markup_mode=None)
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


Column = Annotated[str, Flag(help="the column that holds it, if the guess is wrong")]


@app.command(name="import")
def import_(
    file: Annotated[Path, Given(help="a table (.csv, .xlsx, ..), a parquet or a JSON file")],
    name: Annotated[str, Flag("--as", help="the name of the data set: it is written to data/<name>")],
    text: Column = "",
    levels: Annotated[str, Flag(help="the columns with the labels, first level first, with commas between them")] = "",
    id_: Annotated[str, Flag("--id", help="the column with the comments' ids")] = "",
    emotion: Column = "",
    content: Column = "",
    taxonomy: Annotated[bool, Flag("--taxonomy", help="write the labels to taxonomy.csv as well")] = False,
    yes: Annotated[bool, Flag("--yes", "-y", help="write without asking")] = False,
) -> None:
    """Import a spreadsheet or another file as a data set.

    Guesses what the columns hold, shows it with the first rows, and asks before it writes data/<name>.

    Example: alloy import reviews.xlsx --as reviews
    """
    from alloy.commands.import_data import Wishes, main

    given = {"text": text, "id": id_, "emotion": emotion, "content": content}
    columns = {role: column for role, column in given.items() if column}
    main(
        file,
        name,
        Wishes(columns, [level.strip() for level in levels.split(",") if level.strip()]),
        yes=yes,
        taxonomy=taxonomy,
    )


MaxLoss = Annotated[
    str,
    Flag("--max-loss", "--mmlu-drop", help="largest loss of general ability against base that may be recommended"),
]
Axis = Annotated[str, Flag(help="the metric of general ability; mmlu.acc, if none is given")]


@app.command()
def sweep(
    ratios: Annotated[str, Flag(help="mix ratios, with commas between them")] = "0,0.05,0.1,0.25,0.5",
    lrs: Annotated[str, Flag(help="learning rates, with commas between them; the profile's, if none is given")] = "",
    seeds: Annotated[int, Flag(help="how many seeds each configuration is run with, params.yaml's first", min=1)] = 1,
    max_loss: MaxLoss = "",
    axis: Axis = "",
) -> None:
    """Run an experiment per mix ratio, learning rate and seed.

    Says which configuration to take at the end. After a kill it goes on where it was.
    """
    from alloy.sweep.runner import main

    main(ratios, lrs, seeds, max_loss, axis)


@app.command()
def frontier(max_loss: MaxLoss = "", axis: Axis = "") -> None:
    """Say which of the finished experiments to take."""
    from alloy.sweep.frontier import conclude

    conclude(max_loss, axis)


@app.command()
def evidence(
    name: Annotated[str, Given(help="an experiment: the name of a file docs/evidence/<name>.yaml")],
    only: Annotated[str, Flag(help="its configurations to run, with commas between them; all, if none is given")] = "",
    seeds: Annotated[str, Flag(help="its seeds to run, with commas between them; all, if none is given")] = "",
    out: Annotated[str, Flag(help="where records and results are; docs/evidence, if none is given")] = "",
    commit: Annotated[str, Flag(help="the commit to run; that of the records, else HEAD, if none is given")] = "",
    show: Annotated[bool, Flag("--show", help="run nothing, and write the page of the runs that are there")] = False,
    take: Annotated[str, Flag(help="a project folder with one finished run, which becomes a record")] = "",
) -> None:
    """Run an experiment of docs/evidence and write its page.

    Runs that have a record are not repeated. After a kill it goes on where it was, also on another machine.
    """
    from alloy.evidence.runner import main

    main(name, only, seeds, out, commit, show, take)


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


@check.callback(invoke_without_command=True)
def check_before_training(
    context: typer.Context,
    repair: Annotated[bool, Flag("--repair", help="remove what a killed DVC left damaged, and check nothing")] = False,
) -> None:
    """Check inputs and tests before training, locks and caches.

    Without a command: the inputs, and the tests as soon as base is measured.
    """
    if repair:
        from alloy.core.dvc_repair import repair_dvc

        print("".join(f"{line}\n" for line in repair_dvc()), end="")
    elif context.invoked_subcommand is None:
        from alloy.commands import check_inputs, check_tests

        check_inputs.main()
        if check_tests.is_measured():
            check_tests.main()
        else:
            print(f"tests: not measured; run `{check_tests.MEASURE}`, then `alloy check tests`")


@check.command()
def inputs() -> None:
    """Check settings, data and model, and estimate the cost.

    As the stages do, without training anything. Prints a table; fails if something cannot work.

    Example: alloy check inputs
    """
    from alloy.commands.check_inputs import main

    main()


@check.command()
def tests() -> None:
    """Say which tests can show forgetting.

    Before training, by what base reaches in them. Fails if no test can.
    """
    from alloy.commands.check_tests import main

    main()


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


@check.command()
def versions(
    write: Annotated[bool, Flag("--write", help="make versions.yaml what constraints.txt says")] = False,
) -> None:
    """Check that packages are the pinned ones.

    versions.yaml must repeat constraints.txt, since DVC reads the versions there.
    """
    from alloy.core.versions import check_versions

    print("".join(f"versions: {line}\n" for line in check_versions(write=write)) or "versions: as pinned\n", end="")


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
