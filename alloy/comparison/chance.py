"""Which tests can show forgetting: those in which the base model is above chance.

If the base model only guesses, tuning cannot lower its accuracy, even if the model forgets.
"""

from dataclasses import dataclass

from alloy.comparison.formulation import FORMULATIONS
from alloy.core.files import Row
from alloy.scoring.bootstrap import MIN_ITEMS

# The value that guessing gives, by metric: a number, or the key of the number in the base model's metrics.
CHANCE_LEVELS: dict[str, float | str] = {
    **{f"mmlu.{key}": "chance" for key in FORMULATIONS},
    "mmlu.generated_acc": "generated_chance",
    "mmlu.acc": "chance",
    "ifeval.prompt_strict": 0.0,
}


@dataclass(frozen=True)
class BaseScore:
    """The base model's `value` in a test on `n` items, with its 95 % interval, and `chance`, what guessing gives.

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
    def can_show_forgetting(self) -> bool:
        """Whether the base model's whole interval is above chance, so that a tuned model can be worse."""
        return self.n >= MIN_ITEMS and self.low is not None and self.low > self.chance


def find_chance_level(name: str, metrics: Row) -> float | None:
    """Return the value that guessing gives in the metric `name`, or None if unknown; `metrics` are one model's."""
    chance = CHANCE_LEVELS.get(name)
    part = metrics.get(name.partition(".")[0], {})
    return part.get(chance) if isinstance(chance, str) else chance


def list_base_scores(lines: list[Row]) -> list[BaseScore]:
    """Return the base model's value in each test whose chance level is known, in the order of `CHANCE_LEVELS`.

    `lines` are those of `compare_models`, with or without other models.
    """
    by_name = {f"{line['part']}.{line['key']}": line for line in lines}
    return [
        BaseScore(name, line["title"], line["n"] or 0, base["value"], base.get("low"), base.get("high"), line["chance"])
        for name in CHANCE_LEVELS
        if (line := by_name.get(name)) and line.get("chance") is not None and (base := line["models"].get("base"))
    ]


def find_furthest_above_chance(tests: list[BaseScore]) -> BaseScore | None:
    """Return the test in which the base model is furthest above chance, or None if no test shows it above chance."""
    above_chance = [test for test in tests if test.can_show_forgetting]
    return max(above_chance, key=lambda test: (test.low or 0.0) - test.chance, default=None)


def explain_chance_level(test: BaseScore, tests: list[BaseScore]) -> str | None:
    """Return a sentence that says why `test` cannot show forgetting, and which of `tests` can; None if it can.

    Example: "knowledge, by letters: the base model (0.262) is not clearly above chance (0.250), so this test cannot
    show forgetting; 'knowledge, cloze form' can."
    """
    if test.can_show_forgetting:
        return None
    other = find_furthest_above_chance(tests)
    alternative = f"'{other.title}' can" if other else "none of the tests can"
    if test.n < MIN_ITEMS:
        return f"{test.title}: too few items ({test.n}; {MIN_ITEMS} or more are needed); {alternative}."
    return (
        f"{test.title}: the base model ({test.value:.3f}) is not clearly above chance ({test.chance:.3f}), so this "
        f"test cannot show forgetting; {alternative}."
    )
