"""The `alloy` command: its subcommands and their arguments.

Each subcommand imports its code when it is called, so that `alloy --help` is fast.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from alloy.commands.completion import complete_metrics, complete_names, complete_revisions
from alloy.core.files import InputError
from alloy.core.stage import run

SETTINGS: dict[str, Any] = {"no_args_is_help": True, "rich_markup_mode": None}
app = typer.Typer(
    help=(
        "Fine-tune a language model on customer comments without making it forget the rest.\n\n"
        "Example: alloy import docs/reviews.xlsx --as reviews"
    ),
    pretty_exceptions_enable=False,
    **SETTINGS,
)
check = typer.Typer(rich_markup_mode=None)
nova = typer.Typer(help="Amazon Nova: training files, recipes.\n\nExample: alloy nova export", **SETTINGS)
recipe = typer.Typer(
    help="Read or write a data-mixing recipe of Amazon Nova.\n\nExample: alloy nova recipe write recipe.yaml",
    **SETTINGS,
)
# The outputs of stages that each command reads.
READ_OUTPUTS = {
    "classify": ("data/split", "models"),
    "grammar": ("data/split",),
    "report": ("data/split", "data/predictions", "metrics"),
    "trace": ("data/mix", "models/base"),
    "frontier": ("metrics",),
    "nova": ("data/mix", "data/split"),
    "check": ("data", "metrics", "models"),
}
app.add_typer(check, name="check")
app.add_typer(nova, name="nova")
nova.add_typer(recipe, name="recipe")


def find_project(folder: Path) -> Path | None:
    """Return the folder of the project that `folder` is in; None if it is in none."""
    files = ("params.yaml", "dvc.yaml")
    return next((path for path in (folder, *folder.parents) if any((path / file).is_file() for file in files)), None)


@app.callback()
def require_project() -> None:
    """Raise `InputError` unless this folder is a project whose YAML files DVC can parse; `--help` works everywhere."""
    from alloy.core.dvc_repair import check_parsed_files

    here = Path.cwd()
    root = find_project(here)
    if "--help" in sys.argv:
        return
    if root == here:
        check_parsed_files(lock="--repair" not in sys.argv)
        return
    fix = f"run `cd {root}` first" if root else "change to the folder of a project first"
    raise InputError(f"{here}: no Alloy project here (params.yaml and dvc.yaml are missing); {fix}")


@app.command("classify")
def classify_comments(
    comments: Annotated[
        str, Argument(help="JSON Lines, a JSON array or a CSV file with `text`, or plain lines; - is standard input")
    ],
    model: Annotated[Path, Option(help="the folder of a model")] = Path("models/tuned"),
) -> None:
    """Label comments with the tuned model.

    Prints one JSON object per comment. After an interruption, the same command continues where it stopped.

    Example: alloy classify data/split/test.jsonl > labeled.jsonl

    Example: echo "The lock jams every morning." | alloy classify -
    """
    from alloy.commands.classify import main

    main(comments, model)


Column = Annotated[str, Option(help="the name of this column, if the guess is wrong")]


@app.command("import")
def import_file(
    file: Annotated[Path, Argument(help="a table (.csv, .xlsx, ...), a parquet or a JSON file")],
    name: Annotated[str, Option("--as", help="the name of the data set: it is written to data/<name>")],
    text: Column = "",
    levels: Annotated[str, Option(help="the columns with the labels, first level first, separated by commas")] = "",
    id_: Annotated[str, Option("--id", help="the column with the comments' ids")] = "",
    emotion: Column = "",
    content: Column = "",
    taxonomy: Annotated[bool, Option("--taxonomy", help="also write the labels to taxonomy.csv")] = False,
    yes: Annotated[bool, Option("--yes", "-y", help="write without asking")] = False,
) -> None:
    """Import a spreadsheet or another file as a data set.

    Guesses what the columns hold, shows it with the first rows, and asks before it writes data/<name>.

    Example: alloy import docs/reviews.xlsx --as reviews
    """
    from alloy.commands.import_data import ColumnChoices, main

    choices_by_role = {"text": text, "id": id_, "emotion": emotion, "content": content}
    columns = {role: column for role, column in choices_by_role.items() if column}
    choices = ColumnChoices(columns, [level.strip() for level in levels.split(",") if level.strip()])
    main(file, name, choices, yes=yes, taxonomy=taxonomy)


MaxLoss = Annotated[
    str,
    Option("--max-loss", "--mmlu-drop", help="largest acceptable loss of general ability, compared to the base model"),
]
Axis = Annotated[
    str, Option(help="the metric of general ability; the default is mmlu.acc", autocompletion=complete_metrics)
]


@app.command("sweep")
def run_sweep(
    ratios: Annotated[str, Option(help="mix ratios, separated by commas")] = "0,0.05,0.1,0.25,0.5",
    lrs: Annotated[str, Option(help="learning rates, separated by commas; the default is the profile's")] = "",
    seeds: Annotated[int, Option(help="how many seeds to run per configuration, from that of params.yaml", min=1)] = 1,
    max_loss: MaxLoss = "",
    axis: Axis = "",
) -> None:
    """Run an experiment per mix ratio, learning rate and seed.

    At the end, recommends a configuration. After an interruption, the same command continues where it stopped.

    Example: alloy sweep --ratios 0,0.25 --seeds 2
    """
    from alloy.sweep.runner import main

    main(ratios, lrs, seeds, max_loss, axis)


@app.command("frontier")
def recommend_experiment(max_loss: MaxLoss = "", axis: Axis = "") -> None:
    """Recommend one of the finished experiments.

    Example: alloy frontier --max-loss 0.05
    """
    from alloy.sweep.frontier import write_frontier

    write_frontier(max_loss, axis)


@app.command("evidence")
def run_experiment(
    name: Annotated[
        str,
        Argument(
            help="an experiment: the name of a file docs/evidence/<name>.yaml",
            autocompletion=complete_names("docs/evidence"),
        ),
    ],
    only: Annotated[str, Option(help="the configurations to run, separated by commas; the default is all")] = "",
    seeds: Annotated[str, Option(help="the seeds to run, separated by commas; the default is all")] = "",
    out: Annotated[str, Option(help="the folder of records and results; the default is docs/evidence")] = "",
    commit: Annotated[str, Option(help="the commit to run; the default is that of the records, else HEAD")] = "",
    show: Annotated[bool, Option("--show", help="run nothing; write the page of the finished runs")] = False,
    take: Annotated[str, Option(help="a project folder with one finished run, which becomes a record")] = "",
) -> None:
    """Run an experiment of docs/evidence and write its page.

    Runs that have a record are not repeated. After an interruption, the same command continues, also on
    another machine.

    Example: alloy evidence mams --show
    """
    from alloy.evidence.runner import main

    main(name, only, seeds, out, commit, show, take)


@app.command("report")
def show_report(
    browse: Annotated[bool, Option("--open", help="open the report in a browser")] = False,
) -> None:
    """Show the results of the last run.

    Prints the comparison, the verdict and the path of the report, which is written again if it is out of date. Trains
    nothing.

    Example: alloy report --open
    """
    from alloy.commands.report import main

    main(browse=browse)


@app.command("trace")
def trace_step(step: Annotated[int, Argument(help="a training step, from 1")]) -> None:
    """Print the rows that a training step used.

    Example: alloy trace 1
    """
    from alloy.commands.trace import main

    main(step)


@app.command("review")
def review_changes(
    base: Annotated[
        str,
        Argument(
            help="a branch, tag or commit; its merge base with HEAD is compared", autocompletion=complete_revisions
        ),
    ],
    head: Annotated[
        str,
        Argument(
            help="another branch, tag or commit instead of the files in this folder", autocompletion=complete_revisions
        ),
    ] = "",
) -> None:
    """Print what changed since a commit, in Markdown.

    Example: alloy review main
    """
    from alloy.commands.review import main

    main(base, head)


@app.command("cost")
def estimate_cost(
    profile: Annotated[str, Argument(help="the name of a profile", autocompletion=complete_names("profiles"))],
    processes: Annotated[int, Argument(help="how many GPUs train together", min=1)] = 1,
    config: Annotated[Path | None, Argument(help="a model's config.json, instead of the hub's")] = None,
) -> None:
    """Estimate what training a profile costs.

    Memory, FLOPs and GPU hours. The model's configuration comes from the hub unless a file is given.

    Example: alloy cost demo

    Example: alloy cost qwen3-8b 8 tests/configs/qwen3-8b.json
    """
    from alloy.commands.cost import main

    main(profile, processes, config)


@app.command("grammar")
def print_grammar() -> None:
    """Print the grammar (EBNF) of the answers.

    Use it with a server that accepts a grammar in each request.

    Example: alloy grammar > answers.ebnf
    """
    from alloy.commands.print_grammar import main

    main()


@app.command("smoke")
def run_smoke_test(
    folder: Annotated[Path, Option(help="where the clone is made; an earlier clone there is removed")] = Path(
        ".dvc/tmp/smoke"
    ),
) -> None:
    """Run the last commit at the smallest scale.

    Runs in a clone, on the demo's data. Your results and comments are not changed.

    Example: alloy smoke
    """
    from alloy.commands.smoke import main

    main(folder)


@check.callback(invoke_without_command=True)
def check_before_training(
    context: typer.Context,
    repair: Annotated[
        bool, Option("--repair", help="repair files that a killed DVC left damaged, and check nothing")
    ] = False,
) -> None:
    """Check the project before training.

    Without a subcommand: check the inputs and, if the base model was evaluated, the tests.

    Example: alloy check
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


@check.command("inputs")
def check_only_inputs() -> None:
    """Check settings, data and model, and estimate the cost.

    Uses the same checks as the stages, without training. Prints a table, and fails if there is an error.

    Example: alloy check inputs
    """
    from alloy.commands.check_inputs import main

    main()


@check.command("tests")
def check_only_tests() -> None:
    """Check which tests can show forgetting.

    Uses only the base model's results, so it can run before training. Fails if no test can.

    Example: alloy check tests
    """
    from alloy.commands.check_tests import main

    main()


@check.command("lock")
def check_lock_file() -> None:
    """Check that committed metrics are up to date.

    They must come from the committed code, params and data. The data itself is not needed.

    Example: alloy check lock
    """
    from alloy.commands.check_lock import main

    main()


@check.command("cache")
def check_cache_files() -> None:
    """Remove corrupt files from DVC's cache.

    Example: alloy check cache
    """
    from alloy.commands.check_cache import main

    main()


@check.command("versions")
def check_pinned_versions(
    write: Annotated[bool, Option("--write", help="write versions.yaml from constraints.txt")] = False,
) -> None:
    """Check that pinned versions are installed.

    Also checks that versions.yaml, which DVC reads, has the versions of constraints.txt.

    Example: alloy check versions
    """
    from alloy.core.versions import check_versions

    print("".join(f"versions: {line}\n" for line in check_versions(write=write)) or "versions: as pinned\n", end="")


@nova.command("export")
def export_to_nova(folder: Annotated[Path, Argument(help="where to write")] = Path("data/converse")) -> None:
    """Write the mix and the test set for Nova.

    Uses the Converse format, which customization jobs read.

    Example: alloy nova export
    """
    from alloy.commands.nova_export import main

    main(folder)


@recipe.command("read")
def read_nova_recipe(file: Annotated[Path, Argument(help="a recipe, a YAML file")]) -> None:
    """Set mix.ratio and mix.sources from a recipe.

    Example: alloy nova recipe read recipe.yaml
    """
    from alloy.commands.nova_recipe import read_recipe

    read_recipe(file)


@recipe.command("write")
def write_nova_recipe(
    file: Annotated[Path | None, Argument(help="where to write; the default is standard output")] = None,
) -> None:
    """Write params.yaml's mix as a recipe.

    Example: alloy nova recipe write recipe.yaml
    """
    from alloy.commands.nova_recipe import write_recipe

    write_recipe(file)


def run_app() -> None:
    """Run the command that the arguments name.

    If the reader closes standard output early (`alloy ... | head -1`), Typer exits with status 1. `run` exits silently
    with the usual status for SIGPIPE, 141, instead.
    """
    try:
        app()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            raise end.__context__ from None
        raise


def main() -> None:
    """Run the command line, and print errors in one line each.

    The programs of this environment (`dvc`, `python`) come first, so that `.venv/bin/alloy` also works in a shell in
    which the environment is not active.
    """
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    run(run_app, READ_OUTPUTS.get(next(iter(sys.argv[1:]), ""), ()))
