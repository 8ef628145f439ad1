"""Check the data as the stages do: comments, general rows, benchmark, prompts with instructions, chat prompts.

Each check adds statistics and warnings to the summary, and raises an `InputError` with the errors that it finds.
"""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from alloy.commands.check_state import Inputs, Settings, prepare_in_temporary_folder
from alloy.commands.check_table import CommentStatistics, TokenStatistics
from alloy.core.files import InputError, count_lines, number_lines
from alloy.core.settings import GeneralRows, load_profile_name
from alloy.core.unknown_keys import describe_unknown_keys
from alloy.datasets.source import Kind
from alloy.decontamination.settings import Decontaminate
from alloy.evaluation.settings import Mmlu
from alloy.formats.comments import KEYS
from alloy.formats.general import REJECTED
from alloy.formats.mmlu import load_questions, require_examples
from alloy.formats.origin import read_origin
from alloy.formats.taxonomy import Taxonomy, load_taxonomy
from alloy.labeling.settings import Prompt, PromptTaxonomy
from alloy.mixing.settings import Mix
from alloy.scoring.settings import Score
from alloy.splitting.settings import Split
from alloy.training.settings import LongRow, Model, Scratch, Train

if TYPE_CHECKING:
    import numpy as np

    from alloy.splitting.validate import CheckedComments

PREPARED = "data/prepared/comments"  # where the stage `prepare` writes what is checked in a temporary folder
LEARNED_FROM = 20_000_000  # characters of the general rows, at most, from which a new tokenizer is learned here


def check_comments(inputs: Inputs) -> None:
    """Check the comments against the taxonomy, that both train and test get some, and how long they are in tokens."""
    from alloy.runtime.parallel import map_blocks
    from alloy.splitting.consistency import describe_label_problems
    from alloy.splitting.divide import divide_with_pairs, require_train_and_test
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
    for line in describe_unknown_keys(origin.files[0], comments.unknown, KEYS) + describe_label_problems(comments):
        inputs.warn(line)
    subsets, _, pairs = divide_with_pairs(comments, split.test, split.near_duplicate_threshold)
    inputs.summary.comments = describe_comments(comments, taxonomy, subsets, pairs, inputs.settings)
    require_train_and_test(subsets, origin.files[0])
    count_comment_tokens(inputs, comments, taxonomy, subsets)


def describe_comments(
    comments: "CheckedComments", taxonomy: Taxonomy, subsets: "np.ndarray", pairs: "np.ndarray", settings: Settings
) -> CommentStatistics:
    """Return the statistics of the comments, their subsets (n,), and the pairs (m, 2) of copies and near duplicates."""
    import numpy as np

    from alloy.splitting.assignment import TEST, TRAIN
    from alloy.splitting.consistency import find_contradictions

    keys = comments.table["key"]
    copies = len(keys) - len(np.unique(keys))
    near = pairs[keys[pairs[:, 0]] != keys[pairs[:, 1]]]
    contradictions = find_contradictions(comments)
    segments = np.array([len(leaves) for leaves in comments.leaves])
    trained = Counter(leaf for index in np.flatnonzero(subsets == TRAIN).tolist() for leaf in comments.leaves[index])
    counts = [trained[leaf] for leaf in range(len(taxonomy.leaves))]
    tail = settings[Score].tail
    return CommentStatistics(
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
        train=int((subsets == TRAIN).sum()),
        test=int((subsets == TEST).sum()),
    )


def count_comment_tokens(
    inputs: Inputs, comments: "CheckedComments", taxonomy: Taxonomy, subsets: "np.ndarray"
) -> None:
    """Count the tokens of the training examples, as `mix` does; raise if they are too long for it."""
    import numpy as np

    from alloy.commands.count_tokens import count_comments
    from alloy.labeling.prompt import Prompts
    from alloy.splitting.assignment import TRAIN

    train, prompt = inputs.settings[Train], inputs.settings[Prompt]
    lines = [comments.rows[index] for index in np.flatnonzero(subsets == TRAIN).tolist()]
    learns = prompt.examples > 0 or prompt.taxonomy is PromptTaxonomy.shortlist
    prompts = Prompts.from_task(
        prompt, taxonomy, comments.describe_task(taxonomy), list(map(orjson.loads, lines)) if learns else []
    )
    if inputs.tokenizer is None:
        return
    inputs.comments = counted = count_comments(lines, prompts, inputs.tokenizer, train.assistant_turns)
    longest, too_long = int(counted.counts[:, 0].max()), counted.count_too_long(train.max_length)
    inputs.summary.tokens = TokenStatistics(
        longest, too_long, train.max_length, left_out=train.on_long_row is LongRow.drop, exact=counted.exact
    )
    if too_long and (train.on_long_row is LongRow.stop or too_long == len(lines)):
        about = "" if counted.exact else "about "
        leave_out = ", or set train.on_long_row: drop" if too_long < len(lines) else ""
        raise InputError(
            f"train.max_length: {about}{too_long} of {len(lines)} training comments have more than {train.max_length} "
            f"tokens with prompt and answer (the longest has {longest}); raise train.max_length in "
            f"profiles/{load_profile_name()}.yaml{leave_out}"
        )


def check_general(inputs: Inputs) -> None:
    """Check the general rows, and that the model's chat template renders them; learn a new model's tokenizer."""
    from alloy.commands.count_tokens import read_general_statistics
    from alloy.decontamination.check_rows import check_block, collect_blocks
    from alloy.decontamination.ngram_overlap import Limits, OverlapIndex
    from alloy.modeling.answer_markup import compile_control_tokens
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
        controls = None if inputs.tokenizer is None else compile_control_tokens(inputs.tokenizer)
        blocks = map_blocks(partial(check_block, path, no_tests, [], controls=controls), number_lines(path))
        found = collect_blocks(path, blocks, inputs.tokenizer, settings[GeneralRows].on_bad_row)
        left_out = count_lines(before) if before.is_file() else 0
        kinds = mix.ratio > 0 and bool(mix.sources)
        inputs.general = read_general_statistics(path, len(found.keys), set(found.rejected), kinds=kinds)
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
    require_examples(questions, inputs.settings[Mmlu].fewshot, f"profiles/{load_profile_name()}.yaml")


def check_instructions(inputs: Inputs) -> None:
    """Check the prompts of IFEval."""
    with prepare_in_temporary_folder(inputs, Kind.instructions) as folder:
        inputs.set_rows(Kind.instructions, count_lines(folder / "ifeval.jsonl"))


def check_chat(inputs: Inputs) -> None:
    """Check the chat prompts."""
    with prepare_in_temporary_folder(inputs, Kind.chat) as folder:
        inputs.set_rows(Kind.chat, count_lines(folder / "prompts.jsonl"))
