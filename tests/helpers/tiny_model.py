"""A small training set of forty chats, and a small model with a fixed seed."""

from transformers import set_seed

from alloy.training.settings import LongRow, Scratch, Train
from alloy.training.tiny_qwen import iterate_texts, new_config, new_model, new_tokenizer

COLORS = ["red", "green", "blue", "white", "black", "brown", "grey", "pink"]
THINGS = ["door", "lamp", "lock", "chair", "table", "cup", "hat", "bag", "book", "shoe"]


def make_chat(number: int) -> dict:
    thing, color = THINGS[number % len(THINGS)], COLORS[number % len(COLORS)]
    return {
        "id": str(number),
        "category": "customer" if number % 2 else "facts",
        "source": "customer" if number % 2 else "made",
        "messages": [
            {"role": "user", "content": f"What colour is the {thing}?"},
            {"role": "assistant", "content": f"The {thing} is {color}."},
        ],
    }


ROWS = [make_chat(number) for number in range(40)]
LONG = {
    "id": "long",
    "category": "facts",
    "source": "made",
    "messages": [ROWS[0]["messages"][0], {"role": "assistant", "content": "red " * 100}],
}
TRAIN = Train(lr=5.0e-3, max_steps=12, global_batch=2, max_length=64, on_long_row=LongRow.drop)
SCRATCH = Scratch(
    vocab_size=320,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    max_position_embeddings=256,
    train=TRAIN,
)


def make_tokenizer():
    return new_tokenizer(iterate_texts(ROWS), SCRATCH)


def make_model(tokenizer=None):
    set_seed(0)
    return new_model(new_config(tokenizer or make_tokenizer(), SCRATCH))


def make_model_and_tokenizer():
    """Return a small model, from a fixed seed, and its tokenizer."""
    tokenizer = make_tokenizer()
    return make_model(tokenizer), tokenizer
