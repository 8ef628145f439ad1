"""The token that ends the assistant's turn in a chat template, and whether a model stops at it.

Base models such as Qwen3-0.6B-Base have a chat template whose turns end with `<|im_end|>`, but stop only at
`<|endoftext|>`. Trained on the template, they would write `<|im_end|>` and continue to the token limit. So the token
that ends a turn becomes a stop token.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, read_json, write_json
from alloy.modeling.chat_template import RenderError, render_chat, render_example, render_prompt
from alloy.modeling.load_errors import load_foreign_tokenizer, wrap_load_errors

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GENERATION, TOKENIZER = "generation_config.json", "tokenizer_config.json"
TEMPLATE_FILE = "chat_template.jinja or tokenizer_config.json"
QUESTION, ANSWER = [{"role": "user", "content": "Which color?"}], "Vermilion"
FIX = "use a template that starts the answer with its generation prompt and ends it with a control token"


def find_end_of_turn(tokenizer: "PreTrainedTokenizerBase", location: str) -> int:
    """Return the first control token after an answer.

    Raises `InputError`, which starts with `location`, if the template ends answers without a control token, or if
    answers would not start where the generation prompt ends.
    """
    try:
        prompt = render_prompt(tokenizer, QUESTION).text
        whole = render_example(tokenizer, [*QUESTION, {"role": "assistant", "content": ANSWER}]).text
        question = render_chat(tokenizer, QUESTION, answered=True).rendered.text  # without the generation prompt
    except RenderError as error:
        raise InputError(f"{location}: {TEMPLATE_FILE}: {error}; {FIX}") from None
    if not whole.startswith(prompt) or ANSWER not in whole[len(prompt) :]:
        raise InputError(
            f"{location}: {TEMPLATE_FILE}: the chat template renders a prompt differently if an answer follows; {FIX}"
        )
    header = whole[len(prompt) : whole.rindex(ANSWER)].strip()
    if header and prompt == question:
        raise InputError(
            f"{location}: {TEMPLATE_FILE}: the chat template has no generation prompt, so the model would have to "
            f"write {header!r} before each answer; {FIX}"
        )
    rest: Any = tokenizer(whole[whole.rindex(ANSWER) + len(ANSWER) :], add_special_tokens=False, verbose=False)
    controls = tokenizer.added_tokens_decoder
    if not (ends := [token for token in rest["input_ids"] if token in controls]):
        raise InputError(
            f"{location}: {TEMPLATE_FILE}: the chat template does not end an answer with a control token; {FIX}"
        )
    return ends[0]


def read_stop_tokens(folder: Path, tokenizer: "PreTrainedTokenizerBase", location: str) -> list[int]:
    """Return the stop tokens of the model in `folder`: those of its generation config and of its tokenizer.

    Raises `InputError`, which starts with `location`, if they cannot be read.
    """
    from transformers import GenerationConfig

    from alloy.modeling.architecture import get_text_config, load_config

    file = GENERATION if (folder / GENERATION).is_file() else "config.json"
    with wrap_load_errors(f"{location}: {file}", "download it again"):
        if file == GENERATION:
            stops: Any = GenerationConfig.from_pretrained(folder).eos_token_id
        else:
            stops = get_text_config(load_config(folder)).eos_token_id
    known = [] if stops is None else stops if isinstance(stops, list) else [stops]
    if wrong := [stop for stop in known if not isinstance(stop, int)]:
        raise InputError(
            f"{location}: {file}: eos_token_id: expected ids of tokens, got {wrong[0]!r}; correct the file"
        )
    end: Any = tokenizer.eos_token_id
    return known if end is None or end in known else [*known, end]


def find_missing_stop_token(folder: Path, location: str) -> str | None:
    """Return the token that ends a turn if the model in `folder` does not stop at it, else None.

    Raises `InputError`, which starts with `location`, if the model cannot be made to stop there.
    """
    tokenizer = load_foreign_tokenizer(folder, location)
    end = find_end_of_turn(tokenizer, location)
    if end in read_stop_tokens(folder, tokenizer, location):
        return None
    token = tokenizer.convert_ids_to_tokens(end)
    tokenizer.eos_token = token
    if find_end_of_turn(tokenizer, location) != end:  # the template writes the tokenizer's end-of-text token, too
        raise InputError(
            f"{location}: the chat template ends answers with {token}, but the model does not stop there; add its id "
            f"{end} to eos_token_id in {GENERATION}"
        )
    return token


def add_stop_token(folder: Path, location: str) -> str | None:
    """Make the token that ends a turn a stop token of the model in `folder`. Return it, or None if it already is one.

    The token is added to generation_config.json, and becomes the tokenizer's `eos_token`, at which every engine stops.
    """
    if (token := find_missing_stop_token(folder, location)) is None:
        return None
    tokenizer = load_foreign_tokenizer(folder, location)
    file = folder / GENERATION
    end = tokenizer.convert_tokens_to_ids(token)
    config = read_json(file) if file.is_file() else {}
    write_json(file, {**config, "eos_token_id": [end, *read_stop_tokens(folder, tokenizer, location)]})
    write_json(folder / TOKENIZER, {**read_json(folder / TOKENIZER), "eos_token": token})
    if load_foreign_tokenizer(folder, location).eos_token_id != end:
        raise InputError(
            f"{location}: the tokenizer does not accept {token} as eos_token, although this token ends an answer; set "
            f"eos_token in {TOKENIZER}"
        )
    return token
