"""Convert chat messages to the Converse format of Amazon Bedrock, on which Nova is trained, and back.

A conversation is `{"schemaVersion", "system"?: [{"text"}], "messages": [{"role", "content": [{"text"}]}]}`. System
messages are kept apart from the others. User and assistant take turns; the user is first and the assistant last. Only
text is read; the reasoning of an assistant (`reasoningContent`) is left out.
"""

from typing import Any

from alloy.core.files import Row

SCHEMA = "bedrock-conversation-2024"
ROLES = ("user", "assistant")
# Words that AWS's published check of training data rejects anywhere in a text.
REJECTED_WORDS = (
    *("System:", "SYSTEM:", "User:", "USER:", "Bot:", "BOT:", "Assistant:", "ASSISTANT:", "Thought:"),
    *("[EOS]", "<image>", "<video>", "<unk>"),
)


def to_conversation(messages: list[dict[str, str]]) -> Row:
    """Convert `[{role, content}]` to a conversation; raise `ValueError` if Nova would reject it."""
    texts = [message["content"] for message in messages if message["role"] == "system"]
    turns = messages[len(texts) :]
    if any(message["role"] == "system" for message in turns):
        raise ValueError(
            "a system message comes after other messages; Converse allows it only at the start, so move it there"
        )
    _check_turns([message["role"] for message in turns])
    if any(not message["content"].strip() for message in messages):
        raise ValueError("a message is empty, which Nova rejects; write its text or remove the example")
    system = {"system": [{"text": text} for text in texts]} if texts else {}
    dialog = [{"role": message["role"], "content": [{"text": message["content"]}]} for message in turns]
    return {"schemaVersion": SCHEMA, **system, "messages": dialog}


def to_messages(conversation: Row) -> list[dict[str, str]]:
    """Convert a conversation to `[{role, content}]`; raise `ValueError` with what is wrong and how to fix it."""
    version = conversation.get("schemaVersion") or SCHEMA
    if version != SCHEMA:
        raise ValueError(f"`schemaVersion`: expected {SCHEMA}, got {version!r}")
    system, turns = conversation.get("system") or [], conversation.get("messages")
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise ValueError("`messages`: expected a list of objects {role, content: [{text}]}")
    _check_turns([turn.get("role") for turn in turns])
    messages = [{"role": "system", "content": text} for text in _read_texts("system", system)]
    for turn in turns:
        messages.append({"role": turn["role"], "content": "".join(_read_texts("content", turn.get("content")))})
    return messages


def _check_turns(roles: list[Any]) -> None:
    if not roles or len(roles) % 2 or any(role != ROLES[index % 2] for index, role in enumerate(roles)):
        found = ", ".join(map(str, roles)) or "none"
        raise ValueError(f"expected the roles user and assistant in turn, ending with the assistant, got {found}")


def _read_texts(key: str, blocks: object) -> list[str]:
    """Return the texts in a list of blocks `[{"text"}]`, without reasoning."""
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise ValueError(f"`{key}`: expected a list of objects {{text}}")
    visible = [block for block in blocks if block.get("reasoningContent") is None]
    for block in visible:
        if not isinstance(block.get("text"), str):
            kind = "a text that is not a string" if "text" in block else next(iter(block), "an empty block")
            raise ValueError(f"`{key}` has {kind}, but only text can be read; remove the conversation")
    return [block["text"] for block in visible]


def find_rejected_words(messages: list[dict[str, str]]) -> list[str]:
    """Return the words of a chat that the check of Nova's training data rejects."""
    return [word for word in REJECTED_WORDS if any(word in message["content"] for message in messages)]
