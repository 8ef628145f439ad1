"""Comments to predictions by an engine, and what it took."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alloy.core.files import InputError, Row
from alloy.core.text import normalize_text, text_hash
from alloy.formats.comments import segment_row
from alloy.inference.engine import UNANSWERED, Completion, Engine, Finish, Request
from alloy.inference.open_engine import open_engine
from alloy.inference.settings import Infer
from alloy.inference.usage import (
    ask_engine,
    count_finish,
    count_unanswered,
    find_usual_reason,
    make_finish_fields,
    summarize_usage,
)
from alloy.labelling.answer import parse_answer
from alloy.labelling.constrained_decoding import LabelConstraint
from alloy.labelling.prompt import Prompts

SAMPLES: list[Row] = [{"id": "", "text": text} for text in ("One.", "Another!")]


@dataclass(frozen=True)
class Labeller:
    """Labels comments by an engine, whose answers may be held to a constraint.

    Under a constraint, a segment that repeats one of the same answer, where the engine could not forbid it, is dropped.
    In free answers repeats stay, and cost precision. Both are counted.
    """

    engine: Engine
    prompts: Prompts
    constraint: LabelConstraint | None = None

    def __call__(self, comments: list[Row], done: Callable[[int, Row], object]) -> None:
        """Give the prediction of each comment to `done` as it ends, with its index; what it took is under `use`."""
        chats = self.prompts.messages(comments)
        requests = [Request(row["text"], chat) for row, chat in zip(comments, chats, strict=True)]

        def ended(index: int, completion: Completion, use: Row) -> None:
            done(index, self._prediction(comments[index], completion, use))

        ask_engine(self.engine, requests, ended)

    def _prediction(self, comment: Row, completion: Completion, use: Row) -> Row:
        levels = self.prompts.taxonomy.levels
        answer = parse_answer(completion.text, levels, self.prompts.codes)
        different = tuple(dict.fromkeys(answer.segments))
        segments = answer.segments if self.constraint is None else different
        freed = self.constraint is not None and self.constraint.frees_content(comment["text"])
        return {
            "id": comment["id"],
            "hash": text_hash(comment["text"]),
            "raw": completion.text,
            "valid": answer.valid,
            **make_finish_fields(completion),
            "segments": [segment_row(segment, levels) for segment in segments],
            "use": {
                **use,
                "segments": len(answer.segments),
                "repeated": len(answer.segments) - len(different),
                "contents": sum(segment.content is not None for segment in answer.segments),
                "quoted": sum(is_quoted(segment.content, comment["text"]) for segment in answer.segments),
                **({"free_content": 1} if freed else {}),
            },
        }


def open_labeller(folder: Path, infer: Infer, prompts: Prompts) -> Labeller:
    """Return what labels comments with the model in `folder`, held to the taxonomy if `infer` says so."""
    constraint = LabelConstraint(prompts.taxonomy, prompts.task, prompts.codes) if infer.constrain else None
    return Labeller(open_engine(folder, infer, constraint, prompts.messages(SAMPLES)), prompts, constraint)


def is_quoted(content: str | None, comment: str) -> bool:
    """Say whether a content is in the comment, as a reader sees both: accents and spaces may be encoded differently."""
    if not content:
        return False
    return content in comment or normalize_text(content) in normalize_text(comment)


def count(row: Row, totals: "Counter[str]") -> Row:
    """Add a prediction to the totals, and return it without its `use`."""
    invalid = row["finish"] == Finish.stop.value and not row["valid"]
    totals.update({"comments": 1, "invalid": invalid, **count_finish(row), **row.pop("use")})
    return row


def report(totals: "Counter[str]") -> Row:
    """Return the metrics: what went in and out, how fast, and how many answers are not what was asked for.

    `unanswered` counts the comments without an answer, by kind; `free_content` those that are too long for contents to
    be held to their words. `invalid_json` are answers that ended by themselves and are not a JSON list; those that were
    cut at the token limit are `ended_by_length`. `repeated_segments` is the share of segments that repeat one of the
    same answer. If a service has failed every comment, there is nothing to report.
    """
    comments = totals["comments"]
    without = count_unanswered(totals)
    if without["failed"] == comments:
        raise InputError(f"infer.engine: none of the {comments} comments was answered: {find_usual_reason(totals)}")
    figures: Row = {
        "comments": comments,
        "unanswered": without,
        **summarize_usage(totals),
        "comments_per_second": round(comments / max(totals["seconds"], 1e-9), 3),
        "invalid_json": round(totals["invalid"] / comments, 4),
        "repeated_segments": round(totals["repeated"] / max(totals["segments"], 1), 4),
    }
    for finish in (Finish.length, *UNANSWERED):
        figures[f"ended_by_{finish.value}"] = round(totals[f"finish {finish.value}"] / comments, 4)
    if totals["contents"]:
        figures["quoted"] = round(totals["quoted"] / totals["contents"], 4)
    if totals["free_content"]:
        figures["free_content"] = totals["free_content"]
    return figures
