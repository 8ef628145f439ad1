"""Answers by a service that speaks OpenAI's protocol, such as `vllm serve`.

The environment says where: OPENAI_BASE_URL, OPENAI_API_KEY. A model in a folder of this project is asked with tokens,
made here: the very ones of the other engines, and free of control tokens in comments. A hosted one gets messages.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alloy.core.files import InputError
from alloy.inference.engine import Completion, Constraint, Finish, Request
from alloy.inference.settings import Infer
from alloy.modeling.chat_template import bias_against_control, encode, render_prompt
from alloy.modeling.model_folder import context_length, hosted, load_tokenizer

FINISH = {"stop": Finish.stop, "length": Finish.length, "content_filter": Finish.refused}
AGAIN = "what is done is kept, and `dvc repro` goes on from there"


class OpenAIEngine:
    """Asks for `concurrency` answers at once; the client waits and asks again where the service is busy."""

    def __init__(self, folder: Path, infer: Infer, constraint: Constraint | None) -> None:
        """Answers are held to the grammar of `constraint`, which only vLLM's servers know; None leaves them free."""
        service = hosted(folder)
        self.model = service or str(folder)
        self.tokenizer: Any = None if service else load_tokenizer(folder)
        self.context = 0 if service else context_length(folder)
        if not service and not os.environ.get("OPENAI_BASE_URL"):
            raise InputError(
                f"OPENAI_BASE_URL: not set; name the server of {folder} that `make serve` starts: "
                "http://localhost:8000/v1"
            )
        if service and not os.environ.get("OPENAI_API_KEY"):
            raise InputError("OPENAI_API_KEY: not set; give the service's key, and OPENAI_BASE_URL unless it is OpenAI")
        self.infer = infer
        self.constraint = constraint
        self.bias = bias_against_control(self.tokenizer) if constraint and self.tokenizer else {}

    def complete(self, requests: list[Request], advance: Callable[[int], object]) -> list[Completion]:
        """Return one completion a request, in their order."""
        try:
            return asyncio.run(self._complete(requests, advance))
        except ExceptionGroup as faults:
            raise faults.exceptions[0] from None

    async def _complete(self, requests: list[Request], advance: Callable[[int], object]) -> list[Completion]:
        from openai import AsyncOpenAI

        prompts: list[Any] = [request.messages for request in requests]
        if self.tokenizer:
            prompts = encode(self.tokenizer, [render_prompt(self.tokenizer, chat) for chat in prompts])
        key = os.environ.get("OPENAI_API_KEY") or "none"  # a server of one's own asks for none
        gate = asyncio.Semaphore(self.infer.concurrency)
        async with AsyncOpenAI(api_key=key, max_retries=self.infer.retries, timeout=self.infer.timeout) as client:

            async def answer(request: Request, prompt: Any) -> Completion:  # noqa: ANN401 (messages, or tokens)
                async with gate:
                    completion = await self._ask(client, prompt, self._held(request.source))
                advance(1)
                return completion

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(answer(*pair)) for pair in zip(requests, prompts, strict=True)]
        return [task.result() for task in tasks]

    def _held(self, source: str) -> Any:  # noqa: ANN401 (what is added to a request)
        if self.constraint is None:
            return None
        held = {"structured_outputs": {"grammar": self.constraint.grammar(source)}}
        return {**held, "logit_bias": self.bias} if self.bias else held

    async def _ask(self, client: Any, prompt: Any, more: Any) -> Completion:  # noqa: ANN401 (an AsyncOpenAI)
        import openai

        try:
            if self.tokenizer is None:
                reply = await client.chat.completions.create(
                    model=self.model,
                    messages=prompt,
                    temperature=0.0,
                    max_completion_tokens=self.infer.max_new_tokens,
                    extra_body=more,
                )
                text = reply.choices[0].message.content or ""
            else:
                room = min(self.infer.max_new_tokens, self.context - len(prompt))
                if room <= 0:
                    return Completion("", Finish.context, len(prompt), 0, 0)
                reply = await client.completions.create(
                    model=self.model, prompt=prompt, temperature=0.0, max_tokens=room, extra_body=more
                )
                text = reply.choices[0].text
        except openai.BadRequestError as error:
            if error.code == "context_length_exceeded" or "context length" in error.message:
                return Completion("", Finish.context, 0, 0, 0)
            if error.code == "content_filter":
                return Completion("", Finish.refused, 0, 0, 0)
            raise InputError(f"infer.engine: the service refuses the request: {_line(error)}") from None
        except openai.OpenAIError as error:
            raise InputError(f"infer.engine: {self.model} at {client.base_url}: {_line(error)}; {AGAIN}") from None
        except (AttributeError, IndexError, TypeError, ValueError):
            raise InputError(
                f"infer.engine: {client.base_url} answers, but not with a completion; look at OPENAI_BASE_URL; {AGAIN}"
            ) from None
        used = reply.usage
        details = used and used.prompt_tokens_details
        return Completion(
            text,
            FINISH.get(reply.choices[0].finish_reason, Finish.stop),
            tokens_in=used.prompt_tokens if used else 0,
            cached_in=(details.cached_tokens or 0) if details else 0,
            tokens_out=used.completion_tokens if used else 0,
        )


def _line(error: Exception) -> str:
    """Return what the service said, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
