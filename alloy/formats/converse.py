"""Chat messages as Amazon Bedrock's Converse format has them, which Nova is trained on, and back.

A conversation is `{"schemaVersion", "system"?: [{"text"}], "messages": [{"role", "content": [{"text"}]}]}`: what the
system says stands apart, users and assistant take turns, the user first and the assistant last. Only text is read; the
thoughts of an assistant (`reasoningContent`) are left aside.
"""

from typing import Any

from alloy.core.files import Row

SCHEMA = "bedrock-conversation-2024"
ROLES = ("user", "assistant")
# What the check that AWS publishes for training data refuses anywhere in a text, letter by letter.
REFUSED = (
    *("System:", "SYSTEM:", "User:", "USER:", "Bot:", "BOT:", "Assistant:", "ASSISTANT:", "Thought:"),
    *("[EOS]", "<image>", "<video>", "<unk>"),
)


def to_conversation(messages: list[dict[str, str]]) -> Row:
    """Return the conversation that `[{role, content}]` is; raise `ValueError` with what Nova would refuse."""
    texts = [message["content"] for message in messages if message["role"] == "system"]
    turns = messages[len(texts) :]
    if any(message["role"] == "system" for message in turns):
        raise ValueError("a system turn stands behind the first turns, where Converse has no place for it; move it up")
    _check_turns([message["role"] for message in turns])
    if any(not message["content"].strip() for message in messages):
        raise ValueError("a turn is empty, which Nova refuses; give its text or drop the example")
    system = {"system": [{"text": text} for text in texts]} if texts else {}
    said = [{"role": message["role"], "content": [{"text": message["content"]}]} for message in turns]
    return {"schemaVersion": SCHEMA, **system, "messages": said}


def to_messages(conversation: Row) -> list[dict[str, str]]:
    """Undo `to_conversation`; raise `ValueError` with the fault and the mend."""
    version = conversation.get("schemaVersion") or SCHEMA
    if version != SCHEMA:
        raise ValueError(f"schemaVersion is {version!r}; write {SCHEMA}")
    system, turns = conversation.get("system") or [], conversation.get("messages")
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise ValueError("`messages` is missing or no list of objects; write [{role, content: [{text}]}]")
    _check_turns([turn.get("role") for turn in turns])
    said = [{"role": "system", "content": text} for text in _texts("system", system)]
    return said + [{"role": turn["role"], "content": "".join(_texts("content", turn.get("content")))} for turn in turns]


def _check_turns(roles: list[Any]) -> None:
    if not roles or len(roles) % 2 or any(role != ROLES[place % 2] for place, role in enumerate(roles)):
        given = ", ".join(map(str, roles)) or "none"
        raise ValueError(f"turns are {given}; let user and assistant take turns, the user first, the assistant last")


def _texts(key: str, blocks: object) -> list[str]:
    """Return the texts in `[{"text"}]`."""
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise ValueError(f"`{key}` is no list of objects; write [{{text}}]")
    spoken = [block for block in blocks if block.get("reasoningContent") is None]
    for block in spoken:
        if not isinstance(block.get("text"), str):
            kind = "text that is no string" if "text" in block else next(iter(block), "nothing")
            raise ValueError(f"`{key}` holds {kind}, and only text can be read; drop the conversation")
    return [block["text"] for block in spoken]


def refused_words(messages: list[dict[str, str]]) -> list[str]:
    """Return the words in a chat that Nova's check of training data refuses."""
    return [word for word in REFUSED if any(word in message["content"] for message in messages)]
