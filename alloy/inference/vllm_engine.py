"""Answers by vLLM on this machine: `pip install .[gpu]`, or its build for CPUs, `.[cpu]`."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alloy.core.files import InputError
from alloy.inference.engine import Completion, Constraint, Done, Finish, Follower, Request
from alloy.inference.settings import Infer
from alloy.modeling.chat_template import bias_against_control, encode, render_prompt
from alloy.modeling.model_folder import load_tokenizer, resolve_weights


@contextmanager
def prepare() -> Iterator[dict[str, Any]]:
    """Make vLLM quiet and yield the settings of an `LLM` on this machine, which is to be made inside."""
    if find_spec("vllm") is None:
        raise InputError("vllm is not installed; `pip install .[gpu]`, or .[cpu] without a GPU")
    import torch

    for name, value in (
        ("VLLM_LOGGING_LEVEL", "ERROR"),
        ("VLLM_NO_USAGE_STATS", "1"),  # nothing leaves this machine
        ("VLLM_CPU_KVCACHE_SPACE", "1"),  # GiB for keys and values, where there is no GPU to fill
        ("VLLM_ENABLE_V1_MULTIPROCESSING", "0"),  # in this process: it starts sooner and ends with it
    ):
        os.environ.setdefault(name, value)
    logging.getLogger("vllm").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", r".*torch\.distributed\.reduce_op", FutureWarning)  # vLLM looks at all names
    disabled = os.environ.pop("TQDM_DISABLE", None)  # with it, vLLM fails where it loads weights
    gpu = torch.cuda.is_available()
    try:
        yield {
            "dtype": "bfloat16" if gpu else "float32",
            "enforce_eager": not gpu,
            "enable_prefix_caching": True,
            "seed": 0,
            "trust_remote_code": False,
            "use_tqdm_on_load": False,
        }
    finally:
        if disabled:
            os.environ["TQDM_DISABLE"] = disabled


def forbidding(follow: Callable[[], Follower]) -> Any:  # noqa: ANN401 (a class of vLLM's)
    """Return the class of the logits processor that takes away what the followers of answers forbid.

    vLLM applies the grammar's mask first, so that what is left is known: if nothing is, the mask alone holds.
    """
    from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

    class Forbidding(AdapterLogitsProcessor):
        """One follower per request."""

        def is_argmax_invariant(self) -> bool:
            """Say that it changes which token is the likeliest."""
            return False

        def new_req_logits_processor(self, params: Any) -> Any:  # noqa: ANN401 (SamplingParams)
            """Return what is applied to the logits of a request at each step."""
            return Answer(follow()) if params.structured_outputs else None

    class Answer:
        """The logits of one answer."""

        def __init__(self, follower: Follower) -> None:
            self.follower = follower
            self.read = 0

        def __call__(self, answer: list[int], logits: Any) -> Any:  # noqa: ANN401 (a tensor of the vocabulary)
            """Return the logits after the tokens of `answer`, with those of forbidden tokens at minus infinity."""
            for token in answer[self.read :]:
                self.follower.accept(token)
            self.read = len(answer)
            if forbidden := self.follower.forbidden():
                before = logits[forbidden].clone()
                logits[forbidden] = float("-inf")
                if logits.max() == float("-inf"):
                    logits[forbidden] = before
            return logits

    return Forbidding


class VllmEngine:
    """Answers greedily; prompts' common beginnings are kept by vLLM itself, in blocks of tokens."""

    def __init__(self, folder: Path, infer: Infer, constraint: Constraint | None) -> None:
        """Answers are held to the grammar of `constraint`; None leaves them free."""
        with prepare() as settings:
            from vllm import LLM, SamplingParams
            from vllm.sampling_params import StructuredOutputsParams

            self.tokenizer: Any = load_tokenizer(folder)
            follow = constraint.follow(self.tokenizer, len(self.tokenizer)) if constraint else None
            self.llm = LLM(
                resolve_weights(folder),
                max_num_seqs=infer.batch_size,
                structured_outputs_config={"backend": "xgrammar"},
                logits_processors=[forbidding(follow)] if follow else None,
                **settings,
            )
        self.engine: Any = self.llm.llm_engine
        self.infer = infer
        self.context = int(self.llm.model_config.max_model_len)
        bias = bias_against_control(self.tokenizer)

        def sampling(source: str, room: int) -> Any:  # noqa: ANN401 (SamplingParams)
            held = StructuredOutputsParams(grammar=constraint.grammar(source)) if constraint else None
            return SamplingParams(
                temperature=0.0, max_tokens=room, structured_outputs=held, logit_bias=bias if held else None
            )

        self.sampling = sampling

    def complete(self, requests: list[Request], done: Done) -> list[Completion]:
        """Return one completion per request, in their order."""
        prompts = encode(self.tokenizer, [render_prompt(self.tokenizer, request.messages) for request in requests])
        completions: dict[int, Completion] = {}

        def end(number: int, completion: Completion) -> None:
            completions[number] = completion
            done(number, completion)

        for number, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
            room = min(self.infer.max_new_tokens, self.context - len(prompt))
            if room <= 0:
                reason = f"the prompt has {len(prompt)} tokens, the model's context {self.context}"
                end(number, Completion("", Finish.context, len(prompt), 0, 0, reason=reason))
            else:
                self.engine.add_request(str(number), {"prompt_token_ids": prompt}, self.sampling(request.source, room))
        while self.engine.has_unfinished_requests():
            for output in self.engine.step():
                if output.finished:
                    (answer,) = output.outputs
                    completion = Completion(
                        self.tokenizer.decode(answer.token_ids, skip_special_tokens=True),
                        Finish.length if answer.finish_reason == "length" else Finish.stop,
                        tokens_in=len(output.prompt_token_ids),
                        cached_in=output.num_cached_tokens or 0,
                        tokens_out=len(answer.token_ids),
                    )
                    end(int(output.request_id), completion)
        return [completions[number] for number in range(len(prompts))]
