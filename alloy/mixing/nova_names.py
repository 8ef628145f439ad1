"""The data-mixing categories of Amazon Nova, their names in Alloy, and their default shares.

Names and default shares are those of the recipe `sft_1p5_text_chat` (Nova 2) in Amazon's guide, "Data mixing for SFT":
https://docs.aws.amazon.com/nova/latest/nova2-userguide/nova-forge-sft.html
"""

# Percent of the Nova data, in the recipe's order. A job needs every category; unused ones are 0.
NOVA_MIX = {
    "agents": 1.0,
    "baseline": 10.0,
    "chat": 0.5,
    "code": 10.0,
    "factuality": 0.1,
    "identity": 1.0,
    "long-context": 1.0,
    "math": 2.0,
    "rai": 1.0,
    "instruction-following": 13.0,
    "stem": 0.5,
    "planning": 10.0,
    "reasoning-chat": 0.5,
    "reasoning-code": 0.5,
    "reasoning-factuality": 0.5,
    "reasoning-instruction-following": 45.0,
    "reasoning-math": 0.5,
    "reasoning-planning": 0.5,
    "reasoning-rag": 0.4,
    "reasoning-rai": 0.5,
    "reasoning-stem": 0.4,
    "rag": 1.0,
    "translation": 0.1,
}

# Nova's categories that have other names in the general data. The answers there hold no separate reasoning, so the
# variants with and without reasoning are one category.
CANONICAL = {
    "baseline": ("classification", "generation", "paraphrase", "reading-comprehension", "summarization"),
    "rag": ("reading-comprehension",),
    "reasoning-chat": ("chat",),
    "reasoning-code": ("code",),
    "reasoning-factuality": ("factuality",),
    "reasoning-instruction-following": ("instruction-following",),
    "reasoning-math": ("math",),
    "reasoning-rag": ("reading-comprehension",),
    "reasoning-stem": ("stem",),
    # Categories of the recipe `cpt_text_lite` (continued pre-training):
    "factual-and-news": ("factuality",),
    "scientific": ("stem",),
}


def get_canonical_categories(name: str) -> tuple[str, ...]:
    """Return the categories of the general data that Nova's category `name` means, usually one.

    A name that is not in `CANONICAL`, such as agents, stays the same. Several names may mean one category; their
    weights add up.
    """
    return CANONICAL.get(name, (name,))
