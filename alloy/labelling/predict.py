"""Comments to predictions by an engine, and what it took."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from alloy.core.files import Row
from alloy.core.text import normalize_text, text_hash
from alloy.formats.comments import segment_row
from alloy.inference.engine import Engine, Finish, Request
from alloy.inference.open_engine import open_engine
from alloy.inference.settings import Infer
from alloy.inference.usage import ask, spent
from alloy.labelling.answer import parse_answer
from alloy.labelling.constrained_decoding import LabelConstraint
from alloy.labelling.prompt import Prompts

SAMPLES: list[Row] = [{"id": "", "text": text} for text in ("One.", "Another!")]


def open_labelling_engine(folder: Path, infer: Infer, prompts: Prompts) -> Engine:
    """Return the engine that labels comments with the model in `folder`, held to the taxonomy if `infer` says so."""
    constraint = LabelConstraint(prompts.taxonomy, prompts.task, prompts.codes) if infer.constrain else None
    return open_engine(folder, infer, constraint, prompts.messages(SAMPLES))


def label(
    engine: Engine, prompts: Prompts, comments: list[Row], advance: Callable[[int], object], *, constrain: bool = False
) -> list[Row]:
    """Return a prediction for each comment, with what it took under `use`.

    `constrain`: answers are held to the taxonomy, so a segment that repeats one of the same answer, where the engine
    could not forbid it, is dropped. In free answers repeats stay, and cost precision. Both are counted.
    """
    requests = [Request(row["text"], chat) for row, chat in zip(comments, prompts.messages(comments), strict=True)]
    rows = []
    for comment, (completion, use) in zip(comments, ask(engine, requests, advance), strict=True):
        answer = parse_answer(completion.text, prompts.taxonomy.levels, prompts.codes)
        different = tuple(dict.fromkeys(answer.segments))
        segments = different if constrain else answer.segments
        rows.append(
            {
                "id": comment["id"],
                "hash": text_hash(comment["text"]),
                "raw": completion.text,
                "valid": answer.valid,
                "finish": completion.finish.value,
                "segments": [segment_row(segment, prompts.taxonomy.levels) for segment in segments],
                "use": {
                    **use,
                    "segments": len(answer.segments),
                    "repeated": len(answer.segments) - len(different),
                    "contents": sum(segment.content is not None for segment in answer.segments),
                    "quoted": sum(is_quoted(segment.content, comment["text"]) for segment in answer.segments),
                },
            }
        )
    return rows


def is_quoted(content: str | None, comment: str) -> bool:
    """Say whether a content is in the comment, as a reader sees both: accents and spaces may be encoded differently."""
    if not content:
        return False
    return content in comment or normalize_text(content) in normalize_text(comment)


def count(row: Row, totals: "Counter[str]") -> Row:
    """Add a prediction to the totals, and return it without its `use`."""
    invalid = row["finish"] == Finish.stop.value and not row["valid"]
    totals.update({"comments": 1, f"finish {row['finish']}": 1, "invalid": invalid, **row.pop("use")})
    return row


def report(totals: "Counter[str]") -> Row:
    """Return the metrics: what went in and out, how fast, and how many answers are not what was asked for.

    `invalid_json` are answers that ended by themselves and are not a JSON list; those that were cut at the token limit
    are `ended_by_length`. `repeated_segments` is the share of segments that repeat one of the same answer.
    """
    comments = totals["comments"]
    figures: Row = {
        "comments": comments,
        **spent(totals),
        "comments_per_second": round(comments / max(totals["seconds"], 1e-9), 3),
        "invalid_json": round(totals["invalid"] / comments, 4),
        "repeated_segments": round(totals["repeated"] / max(totals["segments"], 1), 4),
    }
    for finish in (Finish.length, Finish.context, Finish.refused):
        figures[f"ended_by_{finish.value}"] = round(totals[f"finish {finish.value}"] / comments, 4)
    if totals["contents"]:
        figures["quoted"] = round(totals["quoted"] / totals["contents"], 4)
    return figures
