"""The class `SharedPrefixLM` gives the answers of lm-eval's class `HFLM`, up to rounding."""

import random

import pytest
from lm_eval.api.instance import Instance
from transformers import set_seed

from alloy.evaluation.lm_eval_model import (
    HFLM,
    SharedPrefixLM,
    Tree,
    build_trees,
    make_batches,
    plan_answer_groups,
    split_into_groups,
)
from alloy.training.tiny_qwen import new_config, new_model
from projects import make_dense_config
from tiny_model import SCRATCH, make_tokenizer

WORDS = ["what", "colour", "is", "the", "door", "lamp", "lock", "chair", "table", "cup", "and", "The", "red", "green"]


@pytest.fixture(scope="module")
def models():
    tokenizer = make_tokenizer()
    config = new_config(tokenizer, SCRATCH)
    config.initializer_range = 0.4
    set_seed(0)
    model = new_model(config).eval()
    return tuple(kind(pretrained=model, tokenizer=tokenizer, batch_size=4) for kind in (HFLM, SharedPrefixLM))


def make_words(rng: random.Random, low: int, high: int) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(low, high)))


def make_likelihood_requests(pairs: list[tuple[str, str]]) -> list[Instance]:
    return [Instance("loglikelihood", {}, pair, number) for number, pair in enumerate(pairs)]


def make_questions(shots: int, choices: list[str]) -> list[tuple[str, str]]:
    """Return (prompt, choice) pairs: questions of three subjects, each after the examples of its subject."""
    rng = random.Random(1)
    pairs = []
    for _ in range(3):
        prefix = "".join(f"{make_words(rng, 3, 6)}\nAnswer: {rng.choice(choices)}\n\n" for _ in range(shots))
        for _ in range(7):
            context = f"{prefix}{make_words(rng, 2, 9)}\nAnswer:"
            pairs += [(context, f" {choice}") for choice in choices]
    return pairs


@pytest.mark.parametrize("shots", [0, 5])
@pytest.mark.parametrize("choices", [["A", "B", "C", "D"], ["red", "green door", "green lamp and lock", "a"]])
def test_likelihoods_equal_those_of_hflm(models, shots, choices):
    requests = make_likelihood_requests(make_questions(shots, choices))
    expected, found = (model.loglikelihood(requests, disable_tqdm=True) for model in models)
    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], abs=1e-4)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    assert len({round(value, 3) for value, _ in expected}) > 50


def test_a_greedy_continuation_is_marked_as_greedy(models):
    hflm, shared_prefix_lm = models
    (answer,) = hflm.generate_until(
        [Instance("generate_until", {}, ("the door", {"until": [], "max_gen_toks": 3, "do_sample": False}), 0)], True
    )
    ids = hflm.tok_encode("the door" + answer)[len(hflm.tok_encode("the door")) :]
    request = (("the door", answer), hflm.tok_encode("the door"), ids)
    other = (("the door", "lock"), hflm.tok_encode("the door"), hflm.tok_encode(" lock lock"))
    expected = hflm._loglikelihood_tokens([request, other], disable_tqdm=True)
    assert [greedy for _, greedy in shared_prefix_lm._loglikelihood_tokens([request, other], disable_tqdm=True)] == [
        True,
        False,
    ]
    assert [greedy for _, greedy in expected] == [True, False]


def test_a_context_that_is_too_long_is_truncated_as_by_lm_eval(models):
    rng = random.Random(2)
    requests = make_likelihood_requests([(make_words(rng, 290, 300), " red"), (make_words(rng, 5, 5), " red")])
    expected, found = (model.loglikelihood(requests, disable_tqdm=True) for model in models)
    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], abs=1e-4)


def test_a_context_of_one_token_is_left_to_lm_eval(models):
    requests = make_likelihood_requests([("", "the"), ("", " door lamp")])
    expected, found = (model.loglikelihood(requests, disable_tqdm=True) for model in models)
    assert found == expected


def make_generation_requests(settings: dict, count: int = 9) -> list[Instance]:
    rng = random.Random(3)
    return [
        Instance("generate_until", {}, (f"Tell me: {make_words(rng, 1, 12)}", dict(settings)), number)
        for number in range(count)
    ]


@pytest.mark.parametrize("until", [[], [" the"]])
def test_generated_answers_equal_those_of_hflm(models, until):
    requests = make_generation_requests({"until": until, "max_gen_toks": 12, "do_sample": False, "temperature": 0.0})
    expected, found = (model.generate_until(requests, disable_tqdm=True) for model in models)
    assert found == expected
    assert len(set(expected)) > 4


def test_likelihoods_and_answers_can_be_computed_in_turn(models):
    hflm, shared_prefix_lm = models
    settings = {"until": [], "max_gen_toks": 5, "do_sample": False}
    first = shared_prefix_lm.generate_until(make_generation_requests(settings), disable_tqdm=True)
    shared_prefix_lm.loglikelihood(make_likelihood_requests(make_questions(1, ["A", "B"])), disable_tqdm=True)
    assert shared_prefix_lm.generate_until(make_generation_requests(settings), disable_tqdm=True) == first
    assert hflm.generate_until(make_generation_requests(settings), disable_tqdm=True) == first


def test_answers_with_examples_per_subject_equal_those_of_hflm(models):
    rng = random.Random(4)
    settings = {"until": [], "max_gen_toks": 2, "do_sample": False, "temperature": 0.0}
    examples = [make_words(rng, 70, 90) for _ in range(3)]
    prompts = [f"{before}\n{make_words(rng, 1, 9)}" for before in examples for _ in range(6)]
    requests = [
        Instance("generate_until", {}, (prompt, dict(settings)), number) for number, prompt in enumerate(prompts)
    ]
    encoded = [models[1].tok_encode(prompt) for prompt in prompts]
    assert [numbers for _, numbers in plan_answer_groups(encoded, 4, 2)] == [list(range(n, n + 6)) for n in (0, 6, 12)]
    expected, found = (model.generate_until(requests, disable_tqdm=True) for model in models)
    assert found == expected
    assert len(set(expected)) > 4


def test_prompts_are_divided_only_if_that_saves_work() -> None:
    rows = [list(row) for subject in (1, 2, 3) for row in few_shot(subject, 10)]
    divided = [(204, list(range(10))), (204, list(range(10, 20))), (204, list(range(20, 30)))]
    assert plan_answer_groups(rows, 32, 16) == divided
    assert plan_answer_groups(rows, 32, 100) == [(2, list(range(30)))]
    assert plan_answer_groups(rows[:1], 32, 16) == [(205, [0])]
    assert sorted(number for _, members in plan_answer_groups(rows + rows, 4, 1) for number in members) == list(
        range(60)
    )


def test_rows_of_one_question_are_a_tree() -> None:
    kept = {(1, 2, 3): 2, (1, 2, 4, 5): 3, (7, 8): 1, (7, 8, 9): 2}
    assert list(build_trees(kept).values()) == [Tree((1, 2), ((3,), (4, 5))), Tree((7, 8), ((), (9,)))]
    assert [len(tree) for tree in build_trees(kept).values()] == [5, 3]


def few_shot(subject: int, questions: int) -> list[tuple[int, ...]]:
    """Return rows with a common header, then the examples of their subject."""
    return [(9, 9, subject) + (subject,) * 200 + (7, question, 8) for question in range(questions)]


def test_each_subject_is_a_separate_group_that_shares_its_examples() -> None:
    rows = {row: 1 for subject in (1, 2, 3) for row in few_shot(subject, 4)}
    found = list(split_into_groups(rows))
    assert [(start, len(group)) for start, group in found] == [(204, 4)] * 3
    assert [row for _, group in found for row in group] == list(rows)


def test_a_single_question_does_not_stop_the_next_subject_from_sharing_its_examples() -> None:
    rows = dict.fromkeys([*few_shot(1, 1), *few_shot(2, 3), *few_shot(3, 1)], 1)
    assert [(start, len(group)) for start, group in split_into_groups(rows)] == [(205, 1), (204, 3), (205, 1)]


def test_without_examples_all_questions_are_computed_together() -> None:
    rng = random.Random(0)
    rows = {(1, 2, 3, *(rng.randrange(9, 99) for _ in range(rng.randrange(60, 150)))): 1 for _ in range(50)}
    ((start, group),) = split_into_groups(rows)
    assert (start, len(group)) == (3, 50)


def test_short_questions_are_one_group() -> None:
    rows = {(1, 2, question, question, question, choice, 5): 2 for question in range(10, 20) for choice in range(4)}
    assert [(start, len(group)) for start, group in split_into_groups(rows)] == [(2, 40)]


def test_rows_that_share_nothing_are_separate_groups() -> None:
    assert [(start, len(group)) for start, group in split_into_groups({(1, 2, 3): 1, (4, 5, 6): 1})] == [(2, 1), (2, 1)]


def test_the_common_prefix_ends_before_the_tokens_that_predict_a_continuation() -> None:
    rows = {(1, 2, 3, 4, 5): 3, (1, 2, 3, 4, 6): 2}
    assert list(split_into_groups(rows)) == [(2, list(rows))]


def test_batches_have_rows_of_similar_length_and_contain_every_row() -> None:
    rows = [tuple(range(length)) for length in (3, 900, 5, 2000, 4, 3000)]
    found = list(make_batches(rows, prefix_length=2, batch_size=3))
    assert [[len(row) for row in batch] for batch in found] == [[3000], [2000, 900], [5, 4, 3]]


def test_a_model_with_other_layers_uses_the_class_of_lm_eval(tmp_path) -> None:
    from alloy.evaluation.lm_eval_model import open_model
    from alloy.evaluation.settings import Harness

    for kinds, expected in ((["full_attention"] * 2, SharedPrefixLM), (["full_attention", "sliding_attention"], HFLM)):
        folder = tmp_path / expected.__name__
        config = make_dense_config()
        config.layer_types, config.use_sliding_window, config.sliding_window = kinds, True, 64
        new_model(config).save_pretrained(folder)
        make_tokenizer().save_pretrained(folder)
        assert type(open_model(folder, Harness(batch_size=2))) is expected
