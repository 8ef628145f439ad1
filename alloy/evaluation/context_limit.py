"""Which items of an lm-eval task do not fit the model's context. lm-eval would cut their prompts without a word."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

TOKENS_PER_BYTE = 12  # at most: normalization (NFKC) makes up to eleven bytes of one
ADDED = 16  # special tokens that a tokenizer may put around a text


def over_context(model: "LM", instances: "list[Instance]") -> set[int]:
    """Return the `doc_id` of each item of which a request is longer than the context of `model`.

    A request to be rated must fit with its continuation, one to be answered with the longest answer that it may have:
    an answer that ends at the context would be cut for another reason than the others. Rolling likelihoods
    (perplexities) are taken in windows and fit always.
    """
    lm: Any = model  # what lm-eval's classes for transformers and vLLM share beyond its interface
    return {int(one.doc_id or 0) for one in instances if _tokens(lm, one) > lm.max_length}


def _tokens(lm: Any, instance: "Instance") -> int:  # noqa: ANN401
    """Return how many tokens a request needs, or, for one that is certainly short enough, more than it needs."""
    if instance.request_type not in ("loglikelihood", "generate_until"):
        return 0
    args: tuple[Any, ...] = instance.args  # (prompt, settings of the answer) or (prompt, continuation)
    prompt: str = args[0]
    if instance.request_type == "generate_until":
        from lm_eval.models.utils import normalize_gen_kwargs

        settings: Any = normalize_gen_kwargs(args[1], lm.max_gen_toks)
        answer, texts = int(settings["max_gen_toks"]), [prompt]
    else:
        answer, texts = 0, [prompt, args[1]]
    most = TOKENS_PER_BYTE * sum(len(text.encode(errors="replace")) for text in texts) + ADDED
    if most + answer <= lm.max_length:
        return most + answer
    if len(texts) == 2 and prompt:
        return sum(map(len, lm._encode_pair(*texts)))
    return sum(len(lm.tok_encode(text)) for text in texts) + answer + (len(texts) == 2)


class FittingTasks:
    """lm-eval's task manager, whose tasks leave out what does not fit; `left_out` counts it by task, when it is known.

    A task of which nothing fits raises `InputError`.
    """

    def __init__(self, manager: "TaskManager", model: "LM") -> None:
        self.manager = manager
        self.model = model
        self.left_out: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 (whatever the manager has)
        return getattr(self.manager, name)

    def load(self, tasks: list[Any]) -> dict[str, dict[str, Any]]:
        """Return tasks and groups as lm-eval's manager does."""
        loaded: Any = self.manager.load(tasks)
        for name, task in loaded["tasks"].items():
            self._leave_out(name, task)
        return loaded

    def _leave_out(self, name: str, task: Any) -> None:  # noqa: ANN401 (a Task)
        build, iterate = task.build_all_requests, task.doc_iterator
        over: set[int] = set()

        def build_all_requests(**options: Any) -> None:  # noqa: ANN401
            build(**options)
            over.update(over_context(self.model, task.instances))
            asked = len({one.doc_id for one in task.instances})
            if over and asked == len(over):
                raise InputError(
                    f"{name}: none of its {asked} prompts fits with its answer into the model's context of "
                    f"{_length(self.model)} tokens; lower `max_new_tokens` in the profile, or take a model with a "
                    "longer context"
                )
            self.left_out[name] = len(over)
            task._instances = [one for one in task.instances if one.doc_id not in over]

        def doc_iterator(**options: Any) -> Iterator[tuple[int, Any]]:  # noqa: ANN401
            return (found for found in iterate(**options) if found[0] not in over)

        task.build_all_requests = build_all_requests
        # While requests are built nothing is left out yet; when answers are judged, all of it is.
        task.doc_iterator = doc_iterator


def _length(model: Any) -> int:  # noqa: ANN401
    return int(model.max_length)
