"""Which tests can show that a model forgets: those in which base is above chance.

A model that guesses before training guesses after it, too: its accuracy cannot fall, whatever it loses.
"""

from dataclasses import dataclass

from alloy.comparison.formulation import FORMULATIONS
from alloy.core.files import Row
from alloy.scoring.bootstrap import MIN_ITEMS

# What guessing gives, by the name of a metric: a number, or the key of base's metrics that holds it.
CHANCE: dict[str, float | str] = {
    **{f"mmlu.{key}": "chance" for key in FORMULATIONS},
    "mmlu.generated_acc": "generated_chance",
    "mmlu.acc": "chance",
    "ifeval.prompt_strict": 0.0,
}


@dataclass(frozen=True)
class Sensitivity:
    """What base reaches in a test: `value` with its 95 % interval `low` to `high`, on `n` items; `chance` by guessing.

    `low` and `high` are None if there is no interval.
    """

    name: str
    title: str
    n: int
    value: float
    low: float | None
    high: float | None
    chance: float

    @property
    def can_show_loss(self) -> bool:
        """Whether base is above chance, so that a tuned model can be below base: its whole interval lies above."""
        return self.n >= MIN_ITEMS and self.low is not None and self.low > self.chance


def chance_of(name: str, figures: Row) -> float | None:
    """Return what guessing gives in the metric `name`, or None if it is not known; `figures` are a model's metrics."""
    chance = CHANCE.get(name)
    part = figures.get(name.partition(".")[0], {})
    return part.get(chance) if isinstance(chance, str) else chance


def sensitivities(lines: list[Row]) -> list[Sensitivity]:
    """Return what base reaches in each test of the comparison whose chance level is known, in the order of `CHANCE`.

    `lines` are those of `alloy.comparison.compare.compare`, of base alone or of all models.
    """
    found = {f"{line['part']}.{line['key']}": line for line in lines}
    return [
        Sensitivity(
            name, line["title"], line["n"] or 0, base["value"], base.get("low"), base.get("high"), line["chance"]
        )
        for name in CHANCE
        if (line := found.get(name)) and line.get("chance") is not None and (base := line["models"].get("base"))
    ]


def most_sensitive(tests: list[Sensitivity]) -> Sensitivity | None:
    """Return the test in which base is furthest above chance, or None if it is so in none."""
    able = [test for test in tests if test.can_show_loss]
    return max(able, key=lambda test: (test.low or 0.0) - test.chance, default=None)


def explain(test: Sensitivity, tests: list[Sensitivity]) -> str | None:
    """Say that `test` cannot show forgetting, why, and which of `tests` can; return None if it can.

    Example: "knowledge, by letters: base (0.262) is not clearly above chance (0.250), so this test cannot show
    forgetting; 'knowledge, cloze form' can."
    """
    if test.can_show_loss:
        return None
    other = most_sensitive(tests)
    instead = f"'{other.title}' can" if other else "none of the tests can"
    if test.n < MIN_ITEMS:
        return f"{test.title}: too few items ({test.n}; {MIN_ITEMS} or more are needed); {instead}."
    return (
        f"{test.title}: base ({test.value:.3f}) is not clearly above chance ({test.chance:.3f}), so this test "
        f"cannot show forgetting; {instead}."
    )
