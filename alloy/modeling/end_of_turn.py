"""The token that ends the assistant's turn in a chat template, and whether a model stops at it.

Base models such as Qwen3-0.6B-Base have a chat template whose turns end in `<|im_end|>`, and stop at `<|endoftext|>`
alone. Trained on the template, they write the end and go on to the token limit. So the end is made a stop token.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, read_json, write_json
from alloy.modeling.chat_template import render_example, render_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GENERATION, TOKENIZER = "generation_config.json", "tokenizer_config.json"
QUESTION, ANSWER = "Which colour?", "Vermilion"
FIX = "take a template that begins the answer with its generation prompt and ends it with a control token"


def end_of_turn(tokenizer: "PreTrainedTokenizerBase", place: str) -> int:
    """Return the first control token after an answer; a template that does not end answers so raises `InputError`.

    The error is one line that begins with `place`.
    """
    question = [{"role": "user", "content": QUESTION}]
    prompt = render_prompt(tokenizer, question).text
    whole = render_example(tokenizer, [*question, {"role": "assistant", "content": ANSWER}]).text
    if not whole.startswith(prompt) or ANSWER not in whole[len(prompt) :]:
        raise InputError(f"{place}: the chat template renders a prompt differently once it is answered; {FIX}")
    rest: Any = tokenizer(whole[whole.rindex(ANSWER) + len(ANSWER) :], add_special_tokens=False)
    controls = tokenizer.added_tokens_decoder
    if not (found := [token for token in rest["input_ids"] if token in controls]):
        raise InputError(f"{place}: the chat template ends an answer with no control token; {FIX}")
    return found[0]


def stop_tokens(folder: Path, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Return the tokens at which the model in `folder` stops: those of its generation config, and the tokenizer's."""
    from transformers import GenerationConfig

    from alloy.modeling.architecture import load_config, text_config

    if (folder / GENERATION).is_file():
        stops = GenerationConfig.from_pretrained(folder).eos_token_id
    else:
        stops = text_config(load_config(folder)).eos_token_id
    known = [] if stops is None else list(stops) if isinstance(stops, list) else [stops]
    own: Any = tokenizer.eos_token_id
    return known if own is None or own in known else [*known, own]


def missing_stop(folder: Path, place: str) -> str | None:
    """Return the token that ends a turn if the model in `folder` does not stop at it, else None.

    A model that cannot be made to stop there raises `InputError`, one line that begins with `place`.
    """
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    end = end_of_turn(tokenizer, place)
    if end in stop_tokens(folder, tokenizer):
        return None
    token = tokenizer.convert_ids_to_tokens(end)
    tokenizer.eos_token = token
    if end_of_turn(tokenizer, place) != end:  # the template writes the tokenizer's own end of text as well
        raise InputError(
            f"{place}: answers end in {token} by the chat template, and the model does not stop there; add its id "
            f"{end} to eos_token_id in {GENERATION}"
        )
    return token


def add_stop(folder: Path, place: str) -> str | None:
    """Make the token that ends a turn a stop token of the model in `folder`; return it, or None if it is one.

    It is added to generation_config.json, and becomes the tokenizer's `eos_token`, at which every engine stops.
    """
    from transformers import AutoTokenizer

    if (token := missing_stop(folder, place)) is None:
        return None
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    file = folder / GENERATION
    end = tokenizer.convert_tokens_to_ids(token)
    given = read_json(file) if file.is_file() else {}
    write_json(file, {**given, "eos_token_id": [end, *stop_tokens(folder, tokenizer)]})
    write_json(folder / TOKENIZER, {**read_json(folder / TOKENIZER), "eos_token": token})
    if AutoTokenizer.from_pretrained(folder, trust_remote_code=False).eos_token_id != end:
        raise InputError(f"{place}: {token}, which ends an answer, cannot be made the tokenizer's eos_token; set it")
    return token
