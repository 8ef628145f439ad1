"""Let a model label the test comments.

Reads   data/split/test.jsonl, train.jsonl, taxonomy.json, task.json; models/<model>
Writes  data/predictions/<model>.jsonl: `{id, hash, raw, valid, finish, segments}`, in the order of the test set;
        metrics/infer/<model>.json
Run     dvc repro infer@tuned

Comments go through in chunks that are kept as they are done: a kill costs one of them, and one is in memory.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from stages import launch
from stages.checkpoint import hosted
from stages.engine import Engine
from stages.engines import open_engine
from stages.entry import run
from stages.labelling import label, report
from stages.params import load_params, load_profile
from stages.prompt import Prompts
from stages.records import InputError, Row, count_lines, read_json, read_jsonl, stream_jsonl, write_json, write_jsonl
from stages.resume import METRICS, Place, fingerprint, hold
from stages.taxonomy import Taxonomy

SPLIT = Path("data/split")
PREDICTIONS = "predictions.jsonl"


def label_all(
    name: str,
    engine: Engine,
    prompts: Prompts,
    chunks: Iterable[list[Row]],
    place: Place,
    advance: Callable[[int], object],
) -> None:
    """Label what is not labelled yet; the predictions and metrics of model `name` are the result of `place`."""
    files = []
    for chunk in chunks:
        file = place.folder / f"chunk-{len(files):06}.jsonl"
        if file.exists():
            advance(len(chunk))
        else:
            if place.taken_over():
                raise InputError("a later run in this folder has taken over")
            write_jsonl(file, label(engine, prompts, chunk, advance))
        files.append(file)
    totals: Counter[str] = Counter()

    def whole() -> Iterator[Row]:
        for file in files:
            for row in read_jsonl(file):
                totals.update({"comments": 1, f"finish {row['finish']}": 1, "valid": row["valid"], **row.pop("use")})
                yield row

    part = place.folder / "result.part"
    write_jsonl(part / PREDICTIONS, whole())
    write_json(part / METRICS, {name: {"infer": report(totals)}})
    part.rename(place.result)
    for file in files:
        file.unlink()


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
                comments = islice(stream_jsonl(test), total)
                chunks = iter(lambda: list(islice(comments, infer.chunk)), [])
                label_all(name, engine, prompts, chunks, place, bar.update)
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
