"""Malformed arguments, files for `alloy classify`, metrics and DVC files for `benchmarks/bad_inputs.py`."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alloy.core.files import remove_path
from benchmarks.bad_case import (
    MISSING,
    Case,
    combine_edits,
    edit_json,
    edit_row,
    leave_unchanged,
    list_bad_bytes,
    list_not_a_file,
    rewrite_file,
    write_file,
)

MODELS = ("base", "tuned")


# What is wrong in a call, and what the message must name. Words are split at spaces.
CALLS: dict[str, dict[str, str]] = {
    "": {"nothere": "nothere", "--nothere": "--nothere"},
    "classify": {
        "": "comments",
        "a b": "b",
        "README.md --model nowhere": "nowhere",
        "README.md --model params.yaml": "params.yaml",
        "data": "data",
        "nowhere.csv": "nowhere.csv",
    },
    "trace": {"": "step", "0": "0", "-1": "-1", "99999": "99999", "one": "step", "1.5": "step"},
    "cost": {
        "": "profile",
        "nowhere": "nowhere",
        "../smoke": "profile",
        "smoke 0": "processes",
        "smoke -1": "-1",
        "smoke one": "processes",
        "smoke 1 nowhere.json": "nowhere.json",
        "smoke 1 params.yaml": "params.yaml",
        "smoke 1 data": "data",
        "smoke 1 metrics/base.json": "metrics/base.json",
    },
    "sweep": {
        "1": "1",
        "--ratios a": "--ratios",
        "--ratios 2": "--ratios",
        "--ratios -0.1": "--ratios",
        "--ratios nan": "--ratios",
        "--ratios 0;0.5": "--ratios",
        "--lrs x": "--lrs",
        "--lrs 5": "--lrs",
        "--lrs inf": "--lrs",
        "--seeds 0": "--seeds",
        "--seeds x": "--seeds",
        "--seeds 8589934592": "--seeds",
        "--max-loss x": "--max-loss",
        "--max-loss nan": "--max-loss",
        "--axis mmlu.accuracy": "--axis",
    },
    "frontier": {
        "--max-loss 2": "--max-loss",
        "--max-loss -1": "--max-loss",
        "--max-loss inf": "--max-loss",
        "--axis nothere": "--axis",
        "--axis voc.f1": "--axis",
        "--axis general.": "--axis",
    },
    "report": {"x": "x", "--opn": "--open"},
    "review": {"": "base", "nowhere": "nowhere", "HEAD nowhere": "nowhere", "-- -x": "base"},
    "check": {"nothere": "nothere", "tests x": "x"},
    "nova": {
        "": "Usage",
        "export params.yaml": "params.yaml",
        "export params.yaml/x": "params.yaml",
        "recipe": "Usage",
        "recipe read": "file",
        "recipe read nowhere.yaml": "nowhere.yaml",
        "recipe read data": "data",
        "recipe read dvc.yaml": "dvc.yaml",
        "recipe write data": "data",
        "recipe write params.yaml/x": "params.yaml",
    },
    "smoke": {"--folder data": "data", "--folder .": ".", "--folder params.yaml": "params.yaml", "--folder ..": ".."},
}
# Arguments that cannot be split at spaces.
UNUSUAL: list[tuple[str, list[str], str]] = [
    ("", ["\x1b[31m"], "Usage"),
    ("classify", [""], "got a folder"),
    ("classify", ["x" * 300], "xxx"),
    ("trace", ["9" * 200], "999"),
    ("cost", [""], "profile"),
    ("sweep", ["--ratios", ""], "--ratios"),
    ("review", [""], "base"),
    ("smoke", ["--folder", ""], "--folder"),
]


def list_bad_arguments() -> Iterator[Case]:
    """Yield wrong arguments of commands and stages."""
    calls = [
        (command, words.split(), location) for command, given in CALLS.items() for words, location in given.items()
    ]
    for command, words, location in [*calls, *UNUSUAL]:
        shown = " ".join(words)
        what = f"called with {shown[:40]!r}{'... and so on' if len(shown) > 40 else ''}"
        yield Case(f"alloy {command}".strip(), what, leave_unchanged, ("alloy", *command.split(), *words), location)
    for stage in ("infer", "score", "mmlu", "ifeval", "general", "chat"):
        for words in ([], ["nothere"], ["base", "tuned"], [""]):
            location = "nothere" if words == ["nothere"] else stage
            yield Case(
                f"stages.{stage}", f"called with {words}", leave_unchanged, (f"stages.{stage}", *words), location
            )


def list_bad_recipes() -> Iterator[Case]:
    """Yield recipes of Amazon Nova that cannot be read."""
    file, command = "recipe.yaml", ("alloy", "nova", "recipe", "read", "recipe.yaml")
    good = "data_mixing:\n  sources:\n    customer_data: {percent: 50}\n    nova_data: {code: 40, math: 60}\n"
    texts = {
        "empty": "",
        "a list": "- x\n",
        "no section": "x: 1\n",
        "no sources": "data_mixing: {}\n",
        "null": "data_mixing:\n",
        "sources that are a list": "data_mixing: {sources: [x]}\n",
        "no customer data": good.replace("customer_data", "customers"),
        "a percent that is a text": good.replace("50", "half"),
        "a percent that is not a number": good.replace("50", ".nan"),
        "a percent over 100": good.replace("50", "150"),
        "percents that do not sum to 100": good.replace("40", "41"),
        "a key twice": good + "data_mixing: {}\n",
        "not valid YAML": good + "more: [\n",
        "a Python object": "data_mixing: !!python/object/apply:os.system ['touch harm']\n",
        "nested a hundred thousand deep": "data_mixing: " + "[" * 100_000,
    }
    for what, text in texts.items():
        yield Case(file, what, write_file(file, text.encode()), command, file)
    for case in list_bad_bytes("params.yaml", command):
        if not case.accepted and case.what != "empty":
            edit = combine_edits(case.edit, write_file(file, good.encode()))
            yield Case("params.yaml", f"{case.what}, edited by a recipe", edit, command, "params.yaml")


# Files without a comment that can be labeled, for `alloy classify`: name, content, location in the error.
UNUSABLE_FILES: dict[str, tuple[str, bytes, str]] = {
    "an empty file": ("c.jsonl", b"", "c.jsonl"),
    "blank lines": ("c.txt", b"\n\n \n", "c.txt"),
    "only a header": ("c.csv", b"id,text\n", "c.csv"),
    "a table without `text`": ("c.csv", b"id,comment\n1,hello\n", "c.csv:1"),
    "a table with two columns `text`": ("c.csv", b"text,text\na,b\n", "c.csv:1"),
    "a table with an unclosed quote": ("c.csv", b'id,text\n1,"hello\n', "c.csv:"),
    "a table in Latin-1": ("c.csv", b"id,text\n1,caf\xe9\n", "c.csv:2"),
    "a table of NUL bytes": ("c.csv", b"\0" * 100, "c.csv"),
    "a workbook": ("c.csv", b"PK\x03\x04" + b"x" * 100, "c.csv"),
    "an Excel file of the nineties": ("c.csv", b"\xd0\xcf\x11\xe0" + b"x" * 100, "c.csv"),
    "an array cut off": ("c.json", b'[{"text": "x"}, {"te', "c.json"),
    "an array nested too deep": ("c.json", b"[" * 100_000, "c.json"),
    "an array of numbers": ("c.json", b"[1, 2, 3]", "c.json"),
    "an empty array": ("c.json", b"[]", "c.json"),
    "an object without `text`": ("c.json", b'{"body": "x"}', "c.json"),
    "rows without `text`": ("c.jsonl", b'{"body": "x"}\n{"body": "y"}\n', "c.jsonl"),
    "rows with a `text` that is null": ("c.jsonl", b'{"text": null}\n', "c.jsonl"),
    "rows with a `text` that is a list": ("c.jsonl", b'{"text": ["x"]}\n', "c.jsonl"),
    "rows with an empty `text`": ("c.jsonl", b'{"text": " "}\n', "c.jsonl"),
    "rows that are cut off": ("c.jsonl", b'{"text": "x\n', "c.jsonl"),
    "half of a surrogate pair": ("c.jsonl", b'{"text": "\\ud800"}\n', "c.jsonl"),
    "lines in Latin-1": ("c.txt", b"caf\xe9\n", "c.txt"),
    "UTF-16 cut off in a letter": ("c.txt", "hello".encode("utf-16")[:-1], "c.txt"),
    "a gzip file cut off": ("c.jsonl.gz", gzip.compress(b'{"text": "x"}\n' * 100)[:-12], "c.jsonl.gz"),
    "a file named .gz that is not packed": ("c.jsonl.gz", b'{"text": "x"}\n', "c.jsonl.gz"),
}


def list_classify_cases() -> Iterator[Case]:
    """Yield files that `alloy classify` cannot read."""
    for what, (name, content, location) in UNUSABLE_FILES.items():
        yield Case("alloy classify", what, write_file(name, content), ("alloy", "classify", name), location)
        if name != "c.jsonl.gz" and what in ("an empty file", "rows that are cut off", "a workbook"):
            yield Case(
                "alloy classify",
                f"{what}, from a pipe",
                leave_unchanged,
                ("alloy", "classify", "-"),
                "-",
                stdin=content,
            )
    for case in list_not_a_file("c.jsonl", ("alloy", "classify", "c.jsonl")):
        yield Case("alloy classify", case.what, case.edit, case.command, "c.jsonl")


COMPARE, REPORT = ("stages.compare",), ("stages.report",)
# Of each file of metrics: the keys down to an object, a key in it, and the command that reads the file.
METRICS: dict[str, tuple[list[Any], str, tuple[str, ...]]] = {
    "metrics/score/tuned.json": (["tuned", "voc"], "f1", COMPARE),
    "metrics/mmlu/base.json": (["base", "mmlu"], "cloze_acc", COMPARE),
    "metrics/ifeval/tuned.json": (["tuned", "ifeval"], "prompt_strict", COMPARE),
    "metrics/chat/base.json": (["base", "chat"], "answers", COMPARE),
    "metrics/general_loss.json": (["tuned", "loss"], "general", COMPARE),
    "metrics/mix.json": (["mix"], "achieved", COMPARE),
    "metrics/train.json": (["train"], "steps", COMPARE),
    "metrics/infer/tuned.json": (["tuned", "infer"], "comments_per_second", COMPARE),
    "metrics/svm.json": (["svm", "svm"], "train_seconds", COMPARE),
    "metrics/base.json": (["base"], "core_hours", COMPARE),
    "metrics/compare.json": (["measures", 0], "models", REPORT),
    "metrics/split.json": (["split"], "rejected", ("stages.mix",)),
    "metrics/decontaminate.json": (["decontaminate"], "why", ("stages.mix",)),
}
DAMAGED = {
    "empty": b"",
    "cut off": b'{"tuned": {"v',
    "a list": b"[]",
    "null": b"null",
    "an empty object": b"{}",
    "NaN": b'{"tuned": NaN}',
    "marks of a merge conflict": b"<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> theirs\n",
}
# A key of the rows in each file of rows that `compare` reads.
ROWS = {
    "metrics/score/tuned.jsonl": "matched",
    "metrics/mmlu/tuned.jsonl": "cloze_acc",
    "metrics/ifeval/base.jsonl": "prompt_strict",
    "metrics/chat/tuned.jsonl": "answer",
    "metrics/general_loss.jsonl": "kl",
}


def list_damaged_metrics(file: str, path: list[Any], key: str, command: tuple[str, ...]) -> Iterator[Case]:
    """Yield a file of metrics that is damaged as a whole, at its top, and at `key` of the object at `path`."""
    for what, content in DAMAGED.items():
        yield Case(file, what, write_file(file, content), command, file)
    yield Case(file, f"`{path[0]}` is a text", edit_json(file, path[:1], "x"), command, file)
    if path[0] != "measures":
        yield Case(file, f"`{path[0]}` is null", edit_json(file, path[:1], None), command, file)
    for what, value in {"a text": "high", "a list": [1], "an object": {"x": "y"}}.items():
        if key != "models" or what != "an object":  # `models` is one
            yield Case(file, f"`{key}` is {what}", edit_json(file, [*path, key], value), command, file)
    yield from (case for case in list_not_a_file(file, command) if case.what != "a pipe")


def list_damaged_rows(file: str, key: str) -> Iterator[Case]:
    """Yield a file of rows in which a key, a line or an id is wrong."""
    for what, value in {"missing": MISSING, "null": None, "a text": "x", "an object": {"x": 1}}.items():
        if key != "answer" or what != "a text":  # an answer is a text
            yield Case(file, f"`{key}`: {what}", edit_row(file, 2, [key], value), COMPARE, file)
    yield Case(file, "a line that is not JSON", rewrite_file(file, lambda rows: rows + b"{\n"), COMPARE, f"{file}:")
    if "tuned" in file or "base" in file:  # else one file of both models
        yield Case(file, "`id`: of another row", edit_row(file, 2, ["id"], "x"), COMPARE, "tuned.jsonl")
        twice = rewrite_file(file, lambda rows: rows + rows.splitlines()[0] + b"\n")
        yield Case(file, "a row twice", twice, COMPARE, "tuned.jsonl")


def list_metrics_cases() -> Iterator[Case]:
    """Yield metrics that were edited by hand, or by a merge."""
    for file, (path, key, command) in METRICS.items():
        yield from list_damaged_metrics(file, path, key, command)
    for file, key in ROWS.items():
        yield from list_damaged_rows(file, key)
    read_by = {"metrics/mmlu/base.json": ("alloy", "check", "tests"), "metrics/compare.json": ("alloy", "report")}
    for file, command in read_by.items():
        for what, content in {**DAMAGED, "null in it": b'{"base": null, "measures": null, "verdict": null}'}.items():
            yield Case(file, f"{what}, read by {' '.join(command)}", write_file(file, content), command, file)


def list_folder_cases() -> Iterator[Case]:
    """Yield data folders that are not what DVC and the stages want."""
    makers: dict[str, Any] = {
        "missing": lambda path: None,
        "a file": lambda path: path.write_text("x"),
        "empty": lambda path: path.mkdir(),
        "a loop of links": lambda path: (path.parent / "loop").symlink_to(path.name) or path.symlink_to("loop"),
        "a link to nothing": lambda path: path.symlink_to("nowhere"),
        "a folder that nobody may read": lambda path: (path.mkdir(), path.chmod(0)),
    }
    stages = {
        "data/demo": ("stages.prepare", "comments"),
        "data/chat": ("stages.prepare", "chat"),
        "data/prepared/comments": ("stages.split",),
        "data/prepared/chat": ("stages.chat", "base"),
        "data/split": ("stages.svm",),
        "data/decontaminate": ("stages.mix",),
        "models/base": ("stages.mix",),
        "models/tuned": ("stages.infer", "tuned"),
    }
    for folder, command in stages.items():
        for what, make in makers.items():

            def edit(project: Path, folder: str = folder, make: Any = make) -> None:  # noqa: ANN401
                remove_path(project / folder)
                make(project / folder)

            yield Case(folder, what, edit, command, folder)
    outs = {
        "data/split": ("stages.split",),
        "data/mix": ("stages.mix",),
        "data/predictions": ("stages.svm",),
        "metrics/score": ("stages.score", "svm"),
    }
    for out, command in outs.items():

        def block(project: Path, out: str = out) -> None:
            remove_path(project / out)
            (project / out).write_text("x")

        yield Case(out, "a file where a stage writes into a folder", block, command, out)


CONFLICT = b"<<<<<<< HEAD\n%b=======\n%b>>>>>>> theirs\n"


def list_dvc_cases() -> Iterator[Case]:
    """Yield what DVC reads itself, and what a user sees of it."""
    repair = ("alloy", "check", "--repair")
    for file in ("dvc.lock", "dvc.yaml", "params.yaml"):
        conflict = rewrite_file(file, lambda content: CONFLICT % (content, content))
        yield Case(file, "marks of a merge conflict, seen by make repro", conflict, repair, f"{file}:1")
        if file != "dvc.yaml":
            yield Case(
                file, "marks of a merge conflict, seen by alloy check lock", conflict, ("alloy", "check", "lock"), file
            )
    unread = write_file("data/mine/comments.jsonl", b"{}\n")

    def mine(project: Path) -> None:
        unread(project)
        write_file("data/mine/taxonomy.csv", b"L1\nx\n")(project)
        rewrite_file("params.yaml", lambda text: text.replace(b"comments: demo", b"comments: mine"))(project)

    yield Case("data/mine", "comments that neither git nor DVC knows", mine, ("alloy", "sweep"), "data/mine")


def list_cases() -> Iterator[Case]:
    """Yield all of them."""
    for group in (
        list_bad_arguments,
        list_bad_recipes,
        list_classify_cases,
        list_metrics_cases,
        list_folder_cases,
        list_dvc_cases,
    ):
        yield from group()
