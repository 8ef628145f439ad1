"""Count how many planted leaks are found among real texts, and how many other texts are wrongly reported.

    python -m benchmarks.planted_overlap [items]

Plants `leaks` texts of tests in ../shared/data (default: 200) in training data: in turn verbatim, with other case, with
other white space, and with one word replaced. Test comments are planted among training comments, where `split` must
find them; MMLU questions and IFEval prompts among general examples, where `decontaminate` must find them. The number
found of each kind, and of other texts, is written to benchmarks/results/planted-overlap-<date>.json.
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


def _replace_word(text: str, rng: random.Random) -> str:
    words = text.split()
    words[rng.randrange(len(words))] = "zeppelin"
    return " ".join(words)


DISGUISES: dict[str, Callable[[str, random.Random], str]] = {
    "verbatim": lambda text, _: text,
    "re-cased": lambda text, _: text.swapcase(),
    "re-spaced": lambda text, _: "\t" + "  ".join(text.split()) + "\n",
    "a word changed": _replace_word,
}


def disguise_texts(texts: list[str], seed: int = 0) -> list[tuple[str, str]]:
    """Return `(name of the disguise, disguised text)` of each text; the disguises take turns."""
    rng = random.Random(seed)
    kinds = list(DISGUISES.items())
    return [(kinds[n % 4][0], kinds[n % 4][1](text, rng)) for n, text in enumerate(texts)]


def read_texts(name: str, field: str) -> list[str]:
    """Return the distinct values of a field in a compressed file of the shared data that have two or more words."""
    with gzip.open(SHARED / f"{name}.jsonl.gz") as file:
        texts = dict.fromkeys(orjson.loads(line)[field] for line in file)
    return [text for text in texts if len(split_words(text)) > 1]


def count_found(planted: list[tuple[str, str]], found: list[bool]) -> Row:
    """Return how many planted texts, which come first, and how many others are found."""
    kinds = Counter(kind for (kind, _), is_found in zip(planted, found, strict=False) if is_found)
    others = found[len(planted) :]
    return {
        "planted": len(planted),
        "found": kinds.total(),
        **{kind: kinds[kind] for kind in DISGUISES},
        "other texts": len(others),
        "other texts found": sum(others),
    }


def measure_comments(name: str, count: int) -> Row:
    """Plant copies of random test comments among training comments; return what the stage `split` finds."""
    texts = read_texts(name, "text")
    random.Random(0).shuffle(texts)
    planted = disguise_texts(texts[:count])
    all_texts = [*texts[:count], *(text for _, text in planted), *texts[count:]]
    rows = (
        {"id": str(number), "text": text, "segments": [{"L1": "any"}], "split": "test" if number < count else "train"}
        for number, text in enumerate(all_texts)
    )
    with TemporaryDirectory() as folder:
        write_jsonl(file := Path(folder, "comments.jsonl"), rows)
        survey = read_comments(file, Taxonomy(("L1",), {("any",): ""}))
        assignment, _ = divide_comments(survey, Split.test, Split.near_duplicate_threshold)
    return count_found(planted, (assignment[count:] == LEFT_OUT).tolist())


def measure_general(count: int) -> Row:
    """Plant questions and prompts among all general examples; return what `decontaminate` finds."""
    questions = read_texts("mmlu/mmlu_test", "question") + read_texts("ifeval/ifeval_input_data", "prompt")
    planted = disguise_texts(random.Random(0).sample(questions, count))
    index = OverlapIndex.from_texts(
        questions, [], Limits(Decontaminate.ngram_size, Decontaminate.fuzzy_match_min_words)
    )
    found = [hit is not None for hit in index.find_overlaps(text for _, text in planted)]
    for path in sorted((SHARED / "general").glob("*.jsonl.gz")):
        with gzip.open(path) as file:
            for line in file:
                found.append(any(index.find_overlaps([turn["content"] for turn in orjson.loads(line)["messages"]])))
    return count_found(planted, found)


def main() -> None:
    """Plant the texts, search for them, write the result."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    result = {
        "command": " ".join(["python -m benchmarks.planted_overlap", *sys.argv[1:]]),
        "comments of cfpb_voc": measure_comments("cfpb_voc/cfpb_voc", count),
        "comments of mams": measure_comments("mams/mams", count),
        "general examples": measure_general(count),
    }
    out = Path(f"benchmarks/results/planted-overlap-{datetime.datetime.now(tz=datetime.UTC).date()}.json")
    write_json(out, result)
    print(out.read_text(), out)


if __name__ == "__main__":
    run(main)
