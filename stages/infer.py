"""Let a model label the test comments.

Reads   data/split/test.jsonl, train.jsonl, taxonomy.json, task.json; models/<model>
Writes  data/predictions/<model>.jsonl: `{id, hash, raw, valid, finish, segments}`, in the order of the test set;
        metrics/infer/<model>.json
Run     dvc repro infer@tuned

Comments go through in chunks that are kept as they are done: a kill costs one of them, and one is in memory.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from stages import launch
from stages.answer import parse_answer
from stages.checkpoint import hosted
from stages.comments import segment_row, text_hash
from stages.engine import Engine, Finish, Request
from stages.engines import open_engine
from stages.entry import run
from stages.params import load_params, load_profile
from stages.prompt import Prompts
from stages.records import InputError, Row, count_lines, read_json, read_jsonl, stream_jsonl, write_json, write_jsonl
from stages.resume import METRICS, Place, fingerprint, hold
from stages.taxonomy import Taxonomy

SPLIT = Path("data/split")
PREDICTIONS = "predictions.jsonl"


def label(engine: Engine, prompts: Prompts, comments: list[Row], advance: Callable[[int], object]) -> list[Row]:
    """Return a prediction for each comment, with what it took under `use`."""
    requests = [Request(row["text"], chat) for row, chat in zip(comments, prompts.messages(comments), strict=True)]
    start = time.perf_counter()
    completions = engine.complete(requests, advance)
    seconds = (time.perf_counter() - start) / len(comments)
    rows = []
    for comment, completion in zip(comments, completions, strict=True):
        answer = parse_answer(completion.text, prompts.taxonomy.levels, prompts.codes)
        rows.append(
            {
                "id": comment["id"],
                "hash": text_hash(comment["text"]),
                "raw": completion.text,
                "valid": answer.valid,
                "finish": completion.finish.value,
                "segments": [segment_row(segment, prompts.taxonomy.levels) for segment in answer.segments],
                "use": {
                    "seconds": seconds,
                    "tokens_in": completion.tokens_in,
                    "cached_in": completion.cached_in,
                    "tokens_out": completion.tokens_out,
                    "contents": sum(segment.content is not None for segment in answer.segments),
                    "quoted": sum(bool(s.content) and str(s.content) in comment["text"] for s in answer.segments),
                },
            }
        )
    return rows


def label_all(
    name: str, engine: Engine, prompts: Prompts, comments: Iterator[Row], place: Place, advance: Callable[[int], object]
) -> None:
    """Label what is not labelled yet; the predictions and metrics of model `name` are the result of `place`."""
    chunks = []
    while chunk := list(islice(comments, engine.chunk)):
        file = place.folder / f"chunk-{len(chunks):06}.jsonl"
        if file.exists():
            advance(len(chunk))
        else:
            if place.taken_over():
                raise InputError("a later run in this folder has taken over")
            write_jsonl(file, label(engine, prompts, chunk, advance))
        chunks.append(file)
    totals: Counter[str] = Counter()

    def whole() -> Iterator[Row]:
        for file in chunks:
            for row in read_jsonl(file):
                totals.update({"comments": 1, f"finish {row['finish']}": 1, "valid": row["valid"], **row.pop("use")})
                yield row

    part = place.folder / "result.part"
    write_jsonl(part / PREDICTIONS, whole())
    write_json(part / METRICS, {name: {"infer": report(totals)}})
    part.rename(place.result)
    for file in chunks:
        file.unlink()


def report(totals: "Counter[str]") -> Row:
    """Return the metrics: what went in and out, how fast, and how many answers are not what was asked for."""
    comments, seconds = totals["comments"], max(totals["seconds"], 1e-9)
    figures: Row = {
        "comments": comments,
        "tokens_in": totals["tokens_in"],
        "cached_share": round(totals["cached_in"] / max(totals["tokens_in"], 1), 4),
        "tokens_out": totals["tokens_out"],
        "tokens_per_second": round(totals["tokens_out"] / seconds, 1),
        "comments_per_second": round(comments / seconds, 3),
        "invalid_json": round(1 - totals["valid"] / comments, 4),
    }
    for finish in (Finish.length, Finish.context, Finish.refused):
        figures[f"ended_by_{finish.value}"] = round(totals[f"finish {finish.value}"] / comments, 4)
    if totals["contents"]:
        figures["quoted"] = round(totals["quoted"] / totals["contents"], 4)
    return figures


def main() -> None:
    """Load, label, publish."""
    launch.remember_dvc()
    name = sys.argv[1]
    params = load_params()
    infer = load_profile(params.profile).infer
    out, model, test = Path(f"data/predictions/{name}.jsonl"), Path("models", name), SPLIT / "test.jsonl"
    if name != "base" and hosted(model):  # the base under another name: to ask it again costs money and tells nothing
        write_jsonl(out, [])
        write_json(f"metrics/infer/{name}.json", {name: {}})
        print(f"infer {name}: skipped, nothing was trained")
        return
    task = read_json(SPLIT / "task.json")
    taxonomy = Taxonomy.from_rows(read_json(SPLIT / "taxonomy.json"))
    prompts = Prompts.of(params.prompt, taxonomy, task, read_jsonl(SPLIT / "train.jsonl"))
    key = fingerprint("infer", [params.prompt, infer], name)
    with hold(f"infer-{name}", key) as place:
        if not place.result.exists():
            from tqdm import tqdm

            total = min(count_lines(test), infer.limit or sys.maxsize)
            engine = open_engine(model, infer, prompts)
            with tqdm(total=total, unit="comment", desc=f"infer {name}", disable=None, dynamic_ncols=True) as bar:
                label_all(name, engine, prompts, islice(stream_jsonl(test), total), place, bar.update)
        if place.taken_over() or launch.orphaned():
            raise InputError("finished, and a later run or none is there to take it; `dvc repro` takes the result")
        place.publish(PREDICTIONS, out)
        place.publish(METRICS, Path(f"metrics/infer/{name}.json"))
        figures = read_json(place.result / METRICS)[name]["infer"]
    print(
        f"infer {name}: {figures['comments']} comments, {figures['comments_per_second']:.1f} a second; "
        f"{figures['invalid_json']:.1%} of the answers are no JSON"
    )


if __name__ == "__main__":
    run(main)
