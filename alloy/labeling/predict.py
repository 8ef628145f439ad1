"""Label comments with an engine, and summarize the tokens, the time and the errors."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alloy.core.files import InputError, Row
from alloy.core.text import hash_text, normalize_text
from alloy.formats.comments import make_segment_row
from alloy.inference.engine import UNANSWERED, Completion, Engine, Finish, Request
from alloy.inference.open_engine import open_engine
from alloy.inference.settings import EngineName, Infer
from alloy.inference.usage import (
    ask_engine,
    count_finish,
    count_unanswered,
    find_usual_reason,
    make_finish_fields,
    summarize_usage,
)
from alloy.labeling.answer import parse_answer
from alloy.labeling.constrained_decoding import LabelConstraint
from alloy.labeling.prompt import Prompts

# Two different comments: their prompts have the common prefix of all prompts.
SAMPLES: list[Row] = [{"id": "", "text": text} for text in ("One.", "Another!")]


@dataclass(frozen=True)
class Labeler:
    """Labels comments with an engine. Its answers may be restricted by a constraint.

    With a constraint, repeated segments of an answer are dropped if the engine could not forbid them. Without one, they
    stay and lower precision. Repeated segments are counted in both cases.
    """

    engine: Engine
    prompts: Prompts
    constraint: LabelConstraint | None = None

    def __call__(self, comments: list[Row], on_row_done: Callable[[int, Row], object]) -> None:
        """Label the comments; call `on_row_done` with the index and the prediction of each.

        The key `use` of a prediction has its tokens and seconds.
        """
        chats = self.prompts.build_messages(comments)
        requests = [Request(row["text"], chat) for row, chat in zip(comments, chats, strict=True)]

        def on_completion(index: int, completion: Completion, use: Row) -> None:
            on_row_done(index, self._build_prediction(comments[index], completion, use))

        ask_engine(self.engine, requests, on_completion)

    def _build_prediction(self, comment: Row, completion: Completion, use: Row) -> Row:
        levels = self.prompts.taxonomy.levels
        answer = parse_answer(completion.text, levels, self.prompts.codes)
        different = tuple(dict.fromkeys(answer.segments))
        segments = answer.segments if self.constraint is None else different
        asked = completion.finish is not Finish.context
        any_content = asked and self.constraint is not None and self.constraint.allows_any_content(comment["text"])
        return {
            "id": comment["id"],
            "hash": hash_text(comment["text"]),
            "raw": completion.text,
            "valid": answer.valid,
            **make_finish_fields(completion),
            "segments": [make_segment_row(segment, levels) for segment in segments],
            "use": {
                **use,
                "segments": len(answer.segments),
                "repeated": len(answer.segments) - len(different),
                "contents": sum(segment.content is not None for segment in answer.segments),
                "quoted": sum(is_quoted(segment.content, comment["text"]) for segment in answer.segments),
                **({"free_content": 1} if any_content else {}),
            },
        }


def open_labeler(folder: Path, infer: Infer, prompts: Prompts) -> Labeler:
    """Return a labeler with the model in `folder`. With `infer.constrain`, answers keep to the taxonomy."""
    whole_answers = infer.engine is not EngineName.transformers
    constraint = (
        LabelConstraint(prompts.taxonomy, prompts.task, prompts.codes, whole_answers) if infer.constrain else None
    )
    return Labeler(open_engine(folder, infer, constraint, prompts.build_messages(SAMPLES)), prompts, constraint)


def is_quoted(content: str | None, comment: str) -> bool:
    """Return whether a content is in the comment. Different encodings of accents and spaces count as equal."""
    if not content:
        return False
    return content in comment or normalize_text(content) in normalize_text(comment)


def count_prediction(row: Row, totals: "Counter[str]") -> Row:
    """Add a prediction to the totals; return it without its `use`."""
    invalid = row["finish"] == Finish.stop.value and not row["valid"]
    totals.update({"comments": 1, "invalid": invalid, **count_finish(row), **row.pop("use")})
    return row


def build_metrics(totals: "Counter[str]") -> Row:
    """Return the metrics of a run: tokens, speed, and how many answers are missing or invalid.

    - `unanswered`: comments without an answer, by reason
    - `invalid_json`: share of answers that ended by themselves and are not a JSON list
    - `ended_by_length`: share of answers that ended at the token limit
    - `repeated_segments`: share of segments that repeat another one of the same answer
    - `quoted`: share of contents that are in their comment
    - `free_content`: comments whose contents could be any text, because restricting them takes too long

    Raises `InputError` if a service failed on every comment.
    """
    comments = totals["comments"]
    unanswered_by_kind = count_unanswered(totals)
    if unanswered_by_kind["failed"] == comments:
        reason = find_usual_reason(totals)
        raise InputError(
            f"infer.engine: none of the {comments} comments was answered ({reason}); check the service and infer.engine"
        )
    metrics: Row = {
        "comments": comments,
        "unanswered": unanswered_by_kind,
        **summarize_usage(totals),
        "comments_per_second": round(comments / max(totals["seconds"], 1e-9), 3),
        "invalid_json": round(totals["invalid"] / comments, 4),
        "repeated_segments": round(totals["repeated"] / max(totals["segments"], 1), 4),
    }
    for finish in (Finish.length, *UNANSWERED):
        metrics[f"ended_by_{finish.value}"] = round(totals[f"finish {finish.value}"] / comments, 4)
    if totals["contents"]:
        metrics["quoted"] = round(totals["quoted"] / totals["contents"], 4)
    if totals["free_content"]:
        metrics["free_content"] = totals["free_content"]
    return metrics
