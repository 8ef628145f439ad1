"""IFEval as lm-eval has it, with no network: known answers get known verdicts."""

import json
import random
from pathlib import Path

import pytest
import yaml

from data.demo import knowledge
from projects import start_history, write_labelling_project
from stages.instructions import check_prompt, checkers, figures, load_prompts, task, verdicts
from stages.records import InputError, write_jsonl
from stages.scale import Ifeval

ROOT = Path(__file__).parents[1]
REAL = ROOT / "../shared/data/ifeval/ifeval_input_data.jsonl.gz"


def prompt(*names: str, text: str = "Do it.", **arguments: dict) -> dict:
    kwargs = [arguments.get(name.partition(":")[2], {}) for name in names]
    return {"key": 1, "prompt": text, "instruction_id_list": [*names], "kwargs": kwargs}


def judge(row: dict, answer: str) -> dict:
    """Return the row that the stage would write for this answer."""
    asked = task([check_prompt(row)], Ifeval())
    sample = asked.process_results({"place": 0}, [answer])
    return verdicts(row, {**sample, "resps": [[answer]]})


# The English model of punkt knows abbreviations; an empty one would end a sentence after each.
@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Smith went to Washington. He met Mrs. Jones there.", 2),
        ("It cost $3.50 at 5 p.m. on Friday. That is a lot.", 2),
        ("The U.S. economy grew. Mr. Brown of Acme Corp. was pleased! Was he?", 3),
        ("One. Two. Three.", 3),
    ],
)
def test_sentences_are_counted_as_english_has_them(text: str, sentences: int) -> None:
    checkers()
    from lm_eval.tasks.ifeval.instructions_util import count_sentences

    assert count_sentences(text) == sentences


def test_the_language_of_an_answer_is_the_same_every_time() -> None:
    row = prompt("language:response_language", response_language={"language": "de"})
    answers = ["Das ist gut so", "Haus", "the lamp is", "Wir gehen heute nach Hause."]
    first = [judge(row, answer)["prompt_strict"] for answer in answers]
    assert first[-1] == 1
    assert all([judge(row, answer)["prompt_strict"] for answer in answers] == first for _ in range(5))


COMMAS = prompt(
    "punctuation:no_comma", "length_constraints:number_words", number_words={"relation": "less than", "num_words": 5}
)


@pytest.mark.parametrize(
    ("answer", "strict", "by_instruction", "loose"),
    [
        ("Four words and done.", 1, [1, 1], 1),
        ("Four words, and done.", 0, [0, 1], 0),
        ("Far more words than are allowed here.", 0, [1, 0], 0),
        ("Here, as you asked, it is:\nFour words and done.", 0, [0, 0], 1),  # without its first line
        ("", 0, [0, 0], 0),
    ],
)
def test_a_prompt_is_followed_as_a_whole_or_by_instruction_strictly_or_loosely(
    answer: str, strict: int, by_instruction: list[int], loose: int
) -> None:
    row = judge(COMMAS, answer)
    assert (row["prompt_strict"], row["instruction_strict"], row["prompt_loose"]) == (strict, by_instruction, loose)
    assert row["answer"] == answer


def test_the_figures_are_shares_of_prompts_and_of_instructions() -> None:
    rows = [judge(COMMAS, "Four words and done."), judge(COMMAS, "Four words, and done.")]
    found = figures(rows)
    assert found == {
        "prompts": 2,
        "instructions": 4,
        "prompt_strict": 0.5,
        "instruction_strict": 0.75,
        "prompt_loose": 0.5,
        "instruction_loose": 0.75,
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key": None}, "`key` is missing"),
        ({"prompt": " "}, "prompt 1: `prompt` is missing or empty"),
        ({"kwargs": []}, "prompt 1: give `instruction_id_list` and as many `kwargs`"),
        ({"instruction_id_list": ["punctuation:no_dots"]}, "prompt 1: there is no instruction 'punctuation:no_dots'"),
        ({"kwargs": [3]}, "prompt 1: the kwargs of 'punctuation:no_comma' are 3"),
    ],
)
def test_a_malformed_prompt_is_one_line_with_its_place(tmp_path: Path, change: dict, words: str) -> None:
    file = tmp_path / "ifeval.jsonl"
    write_jsonl(file, [prompt("punctuation:no_comma"), {**prompt("punctuation:no_comma"), **change}])
    with pytest.raises(InputError) as caught:
        load_prompts(file)
    assert str(caught.value).startswith(f"{file}:2: {words}")
    assert "\n" not in str(caught.value)


def test_null_arguments_are_left_out() -> None:
    row = prompt("punctuation:no_comma", no_comma={"num_words": None})
    assert check_prompt(row)["kwargs"] == [{}]


def demo_prompts() -> list[tuple[dict, str]]:
    material = yaml.safe_load((ROOT / "data/demo/knowledge.yaml").read_text(encoding="utf-8"))["instructions"]
    feedback = yaml.safe_load((ROOT / "data/demo/feedback.yaml").read_text(encoding="utf-8"))
    seen = {*knowledge.words_by_language(feedback), *knowledge.words_by_language(material["sentences"])}
    material["words"] = {lang: sorted(word for one, word in seen if one == lang) for lang in ("en", "es", "de")}
    return list(knowledge.prompts(material, random.Random(knowledge.SEED), set()))


def test_right_answers_to_the_demo_s_prompts_follow_all_instructions() -> None:
    wrong = [(row, answer) for row, answer in demo_prompts() if not judge(row, answer)["prompt_strict"]]
    assert wrong == []


def test_labels_in_json_follow_few_of_the_demo_s_prompts() -> None:
    labels = json.dumps([{"content": "lamp", "L1": "Lighting", "L2": "Bulb", "L3": "Colour", "L4": "Too cold"}])
    rows = [judge(row, labels) for row, _ in demo_prompts()]
    assert sum(row["prompt_strict"] for row in rows) / len(rows) < 0.1  # `L1` is a word in capitals


@pytest.mark.skipif(not REAL.exists(), reason="../shared/data is not here")
def test_all_real_prompts_are_read_and_judged_as_lm_eval_does(tmp_path: Path) -> None:
    prompts = load_prompts(REAL)
    assert (len(prompts), sum(len(row["instruction_id_list"]) for row in prompts)) == (541, 834)
    from lm_eval.tasks.ifeval.utils import process_results

    asked = task(prompts, Ifeval())
    answer = "*Here* is an answer without a comma.\n\nP.S. It is short."
    for place in range(0, len(prompts), 7):
        assert asked.process_results({"place": place}, [answer]) == process_results(prompts[place], [answer])


def test_the_stage_asks_a_model_and_writes_figures_and_rows(tmp_path: Path) -> None:
    project = write_labelling_project(tmp_path / "project", ["A lamp."])
    start_history(project)
