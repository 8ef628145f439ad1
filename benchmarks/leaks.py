"""How many leaks are found among real texts, and how many other texts are taken for leaks.

    python -m benchmarks.leaks [leaks]

So many texts of tests in ../shared/data (200 if not said) are planted where models learn: by turns verbatim, in other
case, in other spaces, with one word replaced. Comments go among those of train, as the stage `split` looks for them;
questions of MMLU and prompts of IFEval among general examples, as `decontaminate` does. What is found of each kind, and
how many real texts beside them, goes to benchmarks/results/leaks-<date>.json.
"""

import datetime
import gzip
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from alloy.core.files import Row, write_json, write_jsonl
from alloy.core.stage import run
from alloy.core.text import split_words
from alloy.decontamination.ngram_overlap import Limits, OverlapIndex
from alloy.decontamination.settings import Decontaminate
from alloy.formats.taxonomy import Taxonomy
from alloy.splitting.assignment import LEFT_OUT
from alloy.splitting.settings import Split
from stages.split import divide_comments, read_comments

SHARED = Path(__file__).parents[2] / "shared/data"


def _another_word(text: str, rng: random.Random) -> str:
    words = text.split()
    words[rng.randrange(len(words))] = "zeppelin"
    return " ".join(words)


DISGUISES: dict[str, Callable[[str, random.Random], str]] = {
    "verbatim": lambda text, _: text,
    "re-cased": lambda text, _: text.swapcase(),
    "re-spaced": lambda text, _: "\t" + "  ".join(text.split()) + "\n",
    "a word changed": _another_word,
}


def leaks(texts: list[str], seed: int = 0) -> list[tuple[str, str]]:
    """Return `(name of the disguise, text)` of each text, the disguises by turns."""
    rng = random.Random(seed)
    kinds = list(DISGUISES.items())
    return [(kinds[n % 4][0], kinds[n % 4][1](text, rng)) for n, text in enumerate(texts)]


def texts_of(name: str, field: str) -> list[str]:
    """Return this field of the rows of a packed file of the shared data, once each; one word alone is no text."""
    with gzip.open(SHARED / f"{name}.jsonl.gz") as file:
        found = dict.fromkeys(orjson.loads(line)[field] for line in file)
    return [text for text in found if len(split_words(text)) > 1]


def report(planted: list[tuple[str, str]], found: list[bool]) -> Row:
    """Return what of the planted texts, which come first, and of the others is found."""
    kinds = Counter(kind for (kind, _), one in zip(planted, found, strict=False) if one)
    rest = found[len(planted) :]
    return {
        "planted": len(planted),
        "found": kinds.total(),
        **{kind: kinds[kind] for kind in DISGUISES},
        "other texts": len(rest),
        "other texts found": sum(rest),
    }


def comments(name: str, count: int) -> Row:
    """Plant comments and return what the stage `split` finds; the texts of test are drawn, all others are of train."""
    texts = texts_of(name, "text")
    random.Random(0).shuffle(texts)
    planted = leaks(texts[:count])
    whole = [*texts[:count], *(text for _, text in planted), *texts[count:]]
    rows = (
        {"id": str(number), "text": text, "segments": [{"L1": "any"}], "split": "test" if number < count else "train"}
        for number, text in enumerate(whole)
    )
    with TemporaryDirectory() as folder:
        write_jsonl(file := Path(folder, "comments.jsonl"), rows)
        survey = read_comments(file, Taxonomy(("L1",), {("any",): ""}))
        sides, _ = divide_comments(survey, Split.test, Split.near)
    return report(planted, (sides[count:] == LEFT_OUT).tolist())


def general(count: int) -> Row:
    """Plant questions and prompts among all general examples and return what is found."""
    questions = texts_of("mmlu/mmlu_test", "question") + texts_of("ifeval/ifeval_input_data", "prompt")
    planted = leaks(random.Random(0).sample(questions, count))
    index = OverlapIndex.from_texts(questions, [], Limits(Decontaminate.run, Decontaminate.changed))
    found = [hit is not None for hit in index.find_overlaps(text for _, text in planted)]
    for path in sorted((SHARED / "general").glob("*.jsonl.gz")):
        with gzip.open(path) as file:
            for line in file:
                found.append(any(index.find_overlaps([turn["content"] for turn in orjson.loads(line)["messages"]])))
    return report(planted, found)


def main() -> None:
    """Plant, look, write the result."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    result = {
        "command": " ".join(["python -m benchmarks.leaks", *sys.argv[1:]]),
        "comments of cfpb_voc": comments("cfpb_voc/cfpb_voc", count),
        "comments of mams": comments("mams/mams", count),
        "general examples": general(count),
    }
    out = Path(f"benchmarks/results/leaks-{datetime.datetime.now(tz=datetime.UTC).date()}.json")
    write_json(out, result)
    print(out.read_text(), out)


if __name__ == "__main__":
    run(main)
