"""The transformers engine gives the answers of `generate`, with a shared prefix and rows of any length."""

import copy

import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig, MistralConfig, set_seed

from alloy.core.files import InputError
from alloy.formats.taxonomy import Taxonomy
from alloy.inference.engine import Finish, Request
from alloy.inference.hf_engine import TransformersEngine
from alloy.inference.prefix_attention import SharedPrefix, Step
from alloy.inference.settings import Infer
from alloy.labeling.constrained_decoding import CompiledLabelConstraint
from alloy.modeling.chat_template import find_common_prefix, render_prompt
from projects import make_dense_config, make_moe_config
from tiny_model import make_tokenizer

WORDS = ["What", "colour", "is", "the", "door", "and", "the", "lamp", "and", "the", "lock"]
INFER = Infer(batch_size=4, max_new_tokens=12)
TAXONOMY = Taxonomy(("L1", "L2"), {("Setup", "Pairing"): "", ("Setup", "Manual"): "", ("Price", "Fair"): ""})
TASK = {"has_content": True, "emotions": ["anger", "joy"], "most_segments": 2}


def make_request(number: int) -> Request:
    """Return a request; the requests have different lengths."""
    comment = " ".join(WORDS[: 1 + 7 * number % 10] * (1 + number % 3))
    return Request(comment, [{"role": "user", "content": f"Tell me.\n\nComment:\n{comment} {number}"}])


REQUESTS = [make_request(number) for number in range(14)]
SAMPLES = [REQUESTS[1].messages, REQUESTS[2].messages]
COMMON = find_common_prefix(make_tokenizer(), SAMPLES)


def make_small_model(config=None):
    """Return (model, tokenizer); its weights are so large that the answers to different prompts differ."""
    config = copy.deepcopy(config or make_dense_config())
    config.initializer_range, config.tie_word_embeddings = 0.4, False
    set_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    model.generation_config = GenerationConfig(do_sample=False, eos_token_id=config.eos_token_id)
    return model, make_tokenizer()


def generate(model, tokenizer, infer=INFER):
    """Return the answers of `generate`, one by one."""
    texts = []
    for request in REQUESTS:
        inputs = tokenizer(
            render_prompt(tokenizer, request.messages).text, add_special_tokens=False, return_tensors="pt"
        )
        output = model.generate(**inputs, max_new_tokens=infer.max_new_tokens, do_sample=False, pad_token_id=0)
        texts.append(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    return texts


def generate_answers(model, tokenizer, infer=INFER, constraints=None):
    engine = TransformersEngine(model, tokenizer, infer, find_common_prefix(tokenizer, SAMPLES), constraints)
    return engine.complete(REQUESTS, lambda *_: None)


@pytest.mark.parametrize("config", [None, make_moe_config()], ids=["dense", "mixture"])
@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_answers_equal_generate_for_any_batch(config, batch_size):
    expected = generate(*make_small_model(config))
    assert len(set(expected)) > 4
    infer = INFER.model_copy(update={"batch_size": batch_size})
    assert [completion.text for completion in generate_answers(*make_small_model(config), infer)] == expected


def test_the_tokens_of_answers_are_counted():
    model, tokenizer = make_small_model()
    completions = generate_answers(model, tokenizer)
    prompts = [tokenizer.apply_chat_template(r.messages, add_generation_prompt=True)["input_ids"] for r in REQUESTS]
    assert [completion.tokens_in for completion in completions] == [len(prompt) for prompt in prompts]
    assert len({completion.cached_in for completion in completions}) == 1
    assert 5 < completions[0].cached_in < min(map(len, prompts))
    assert all(completion.tokens_out == 12 for completion in completions if completion.finish is Finish.length)


def test_every_request_is_reported_once():
    seen = []
    completions = TransformersEngine(*make_small_model(), INFER, COMMON).complete(
        REQUESTS, lambda *ended: seen.append(ended)
    )
    assert sorted(seen, key=lambda ended: ended[0]) == list(enumerate(completions))


def test_a_prompt_that_fills_the_context_has_no_answer_and_the_others_have():
    model, tokenizer = make_small_model()
    long = Request("x", [{"role": "user", "content": "Tell me.\n\nComment:\n" + "red " * 400}])
    engine = TransformersEngine(model, tokenizer, INFER, COMMON)
    completions = engine.complete([REQUESTS[0], long, REQUESTS[1]], lambda *_: None)
    assert completions[1].finish is Finish.context
    assert completions[1].text == ""
    assert str(model.config.max_position_embeddings) in completions[1].reason
    assert [completions[0].text, completions[2].text] == generate(*make_small_model())[:2]


def test_no_grammar_is_compiled_for_a_prompt_over_the_context():
    model, tokenizer = make_small_model()

    class Counting(CompiledLabelConstraint):
        """Records the sources that it gets."""

        def prepare_source(self, source):
            prepared.append(source)
            return super().prepare_source(source)

    prepared = []
    constraint = Counting(tokenizer, len(tokenizer), TAXONOMY, {**TASK, "has_content": True})
    long = Request("long", [{"role": "user", "content": "Tell me.\n\nComment:\n" + "red " * 400}])
    TransformersEngine(model, tokenizer, INFER, COMMON, constraint).complete([REQUESTS[0], long], lambda *_: None)
    assert prepared == [REQUESTS[0].source]


def test_an_answer_ends_with_the_context():
    model, tokenizer = make_small_model()
    wide = INFER.model_copy(update={"max_new_tokens": 10_000})
    for completion in generate_answers(model, tokenizer, wide):
        assert completion.tokens_in + completion.tokens_out <= model.config.max_position_embeddings


def test_tokens_that_the_grammar_forces_do_not_change_the_answer():
    model, tokenizer = make_small_model()
    infer = INFER.model_copy(update={"max_new_tokens": 120})
    constraint = CompiledLabelConstraint(tokenizer, len(tokenizer), TAXONOMY, TASK)

    class WithoutForcing(TransformersEngine):
        """The same engine, but with a forward pass also for forced tokens."""

        def _append_forced_tokens(self, row):
            if row.matcher and row.finish is None:
                row.matcher.fill_mask(self.masks, row.slot)

    quick = TransformersEngine(model, tokenizer, infer, COMMON, constraint).complete(REQUESTS, lambda *_: None)
    slow = WithoutForcing(model, tokenizer, infer, COMMON, constraint).complete(REQUESTS, lambda *_: None)
    assert [completion.text for completion in quick] == [completion.text for completion in slow]
    assert any(completion.finish is Finish.stop for completion in quick)


def test_a_model_with_sliding_attention_is_an_error_that_names_the_setting():
    config = MistralConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=8,
    )
    config.layer_types = ["sliding_attention", "full_attention"]
    with pytest.raises(InputError, match=r"^infer\.engine: .*\bsliding_attention\b.*infer\.engine: vllm"):
        TransformersEngine(*make_small_model(config), INFER, COMMON)


def test_logits_after_a_shared_prefix_equal_logits_of_the_whole_sequence():
    model, _ = make_small_model()
    model.eval()
    ids = torch.arange(3, 53).tolist()
    with torch.inference_mode():
        expected = model(torch.tensor([ids])).logits[0]
    shared = SharedPrefix(model, ids[:20])
    shared.reserve_slots(18, slots=3, capacity=40)  # shorter than the computed prefix
    cpu = torch.device("cpu")
    first = shared.forward(ids[18:23] + ids[18:30], Step.for_rows([2, 0], [0, 0], [5, 12], cpu))
    torch.testing.assert_close(first, expected[[22, 29]], atol=2e-5, rtol=0)
    second = shared.forward(ids[23:25] + ids[30:31], Step.for_rows([2, 0], [5, 12], [2, 1], cpu))
    torch.testing.assert_close(second, expected[[24, 30]], atol=2e-5, rtol=0)
    separate = shared.forward(ids[25:40], Step.for_rows([2], [7], [15], cpu))
    torch.testing.assert_close(separate, expected[[39]], atol=2e-5, rtol=0)
