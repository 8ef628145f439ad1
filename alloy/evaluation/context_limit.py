"""Find the items of an lm-eval task that do not fit the model's context, and skip them.

lm-eval would truncate their prompts without a warning.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

MAX_TOKENS_PER_BYTE = 12  # an upper bound: normalization (NFKC) can turn one byte into up to eleven
MAX_SPECIAL_TOKENS = 16  # that a tokenizer may add around a text


def find_over_context(model: "LM", instances: "list[Instance]") -> set[int]:
    """Return the `doc_id` of each item that has a request longer than the context of `model`.

    A prompt must fit together with its continuation (likelihoods), or with the longest allowed answer (generation).
    Otherwise an answer could end at the context instead of at its limit. Rolling likelihoods (perplexities) always fit:
    they are computed in windows.
    """
    lm: Any = model  # lm-eval's classes for transformers and vLLM share more than its interface
    return {int(instance.doc_id or 0) for instance in instances if _count_tokens(lm, instance) > lm.max_length}


def _count_tokens(lm: Any, instance: "Instance") -> int:  # noqa: ANN401
    """Return the number of tokens of a request, or an upper bound if that fits: it saves the tokenization."""
    if instance.request_type not in ("loglikelihood", "generate_until"):
        return 0
    args: tuple[Any, ...] = instance.args  # (prompt, settings of the answer) or (prompt, continuation)
    prompt: str = args[0]
    if instance.request_type == "generate_until":
        from lm_eval.models.utils import normalize_gen_kwargs

        settings: Any = normalize_gen_kwargs(args[1], lm.max_gen_toks)
        answer_tokens, texts = int(settings["max_gen_toks"]), [prompt]
    else:
        answer_tokens, texts = 0, [prompt, args[1]]
    upper_bound = MAX_TOKENS_PER_BYTE * sum(len(text.encode(errors="replace")) for text in texts) + MAX_SPECIAL_TOKENS
    if upper_bound + answer_tokens <= lm.max_length:
        return upper_bound + answer_tokens
    if len(texts) == 2 and prompt:
        return sum(map(len, lm._encode_pair(*texts)))
    return sum(len(lm.tok_encode(text)) for text in texts) + answer_tokens + (len(texts) == 2)


class FittingTasks:
    """Wraps lm-eval's task manager. Its tasks skip items that do not fit the context; `skipped` counts them by task.

    The counts are known when lm-eval has built the requests. A task without any item that fits raises `InputError`.
    """

    def __init__(self, manager: "TaskManager", model: "LM") -> None:
        self.manager = manager
        self.model = model
        self.skipped: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (any attribute of the manager)
        return getattr(self.manager, name)

    def load(self, tasks: list[Any]) -> dict[str, dict[str, Any]]:
        """Return tasks and groups, as lm-eval's manager does."""
        loaded: Any = self.manager.load(tasks)
        for name, task in loaded["tasks"].items():
            self._skip_long_items(name, task)
        return loaded

    def _skip_long_items(self, name: str, task: Any) -> None:  # noqa: ANN401 (a Task)
        build, iterate = task.build_all_requests, task.doc_iterator
        too_long: set[int] = set()

        def build_all_requests(**options: Any) -> None:  # noqa: ANN401
            build(**options)
            too_long.update(find_over_context(self.model, task.instances))
            items = len({instance.doc_id for instance in task.instances})
            if too_long and items == len(too_long):
                raise InputError(
                    f"{name}: all {items} prompts with their answers are longer than the model's context of "
                    f"{_get_context_length(self.model)} tokens; lower `max_new_tokens` in the profile, or use a model "
                    "with a longer context"
                )
            self.skipped[name] = len(too_long)
            task._instances = [instance for instance in task.instances if instance.doc_id not in too_long]

        def doc_iterator(**options: Any) -> Iterator[tuple[int, Any]]:  # noqa: ANN401
            return ((doc_id, doc) for doc_id, doc in iterate(**options) if doc_id not in too_long)

        task.build_all_requests = build_all_requests
        # While requests are built, `too_long` is empty, so nothing is skipped. When answers are scored, it is complete.
        task.doc_iterator = doc_iterator


def _get_context_length(model: Any) -> int:  # noqa: ANN401
    return int(model.max_length)
