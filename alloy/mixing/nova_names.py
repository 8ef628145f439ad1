"""What Nova's data-mixing categories are called here, and Nova's own mix of them.

Names and default shares are those of the recipe `sft_1p5_text_chat` (Nova 2) in Amazon's guide, "Data mixing for SFT":
https://docs.aws.amazon.com/nova/latest/nova2-userguide/nova-forge-sft.html
"""

# Percent of the Nova data, in the recipe's order; a job wants every category, those not used as 0.
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

# Those that are called otherwise in the general data. Its answers hold no thoughts apart, so that a kind with and
# without reasoning is one.
CALLED = {
    "baseline": ("classification", "generation", "paraphrase", "reading-comprehension", "summarization"),
    "rag": ("reading-comprehension",),
    "reasoning-chat": ("chat",),
    "reasoning-code": ("code",),
    "reasoning-factuality": ("factuality",),
    "reasoning-instruction-following": ("instruction-following",),
    "reasoning-math": ("math",),
    "reasoning-rag": ("reading-comprehension",),
    "reasoning-stem": ("stem",),
    "factual-and-news": ("factuality",),  # this and the next: Nova's continued pre-training (`cpt_text_lite`)
    "scientific": ("stem",),
}


def canonical_categories(name: str) -> tuple[str, ...]:
    """Return the categories of the general data that Nova's `name` comprises, one as a rule.

    A name without a counterpart, such as agents, stays as it is. Several names may be one category: add their weights.
    """
    return CALLED.get(name, (name,))
