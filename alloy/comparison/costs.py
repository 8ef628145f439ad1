"""What a training was given, by which arms are held equal, and what each model cost."""

from dataclasses import dataclass

from alloy.core.files import Row
from alloy.core.metrics_file import read_metrics
from alloy.formats.general import CUSTOMER

TRAINING = ("train_seconds", "tokens", "tokens_per_second", "core_hours", "gpu_hours")  # what a training took


@dataclass(frozen=True)
class Budget:
    """What training saw: different customer examples, steps, learning rate, and the share of general data.

    `general` is in the unit of the mix. Customer examples that it did not see: `too_long` are over `train.max_length`,
    `unseen` are in the mix and were not reached.
    """

    customer: int
    steps: int
    lr: float
    general: float = 0.0
    too_long: int = 0
    unseen: int = 0


def budget(mix: Row, train: Row, lr: float) -> Budget | None:
    """Return what a training saw, by metrics/mix.json and train.json; None if nothing was trained."""
    if "steps" not in train:
        return None
    seen = train["source"].get(CUSTOMER, {"examples": 0})["examples"]
    mixed = mix["source"].get(CUSTOMER, {"rows": 0})["rows"]
    too_long = mix.get("too_long", {}).get(CUSTOMER, 0)
    return Budget(seen, train["steps"], lr, trained_share(mix, train), too_long, mixed - seen)


def trained_share(mix: Row, train: Row) -> float:
    """Return the share of general data that was trained on, in the unit of the mix; that of the mix if nothing was."""
    return train["general_share"][mix["unit"]] if "general_share" in train else mix["achieved"]


def told(given: Budget, comments: int) -> list[str]:
    """Say what was seen, and warn of what was not; `comments`: how many of the customer's are there to train on."""
    said = [f"Budget: {given.customer:,} customer examples, {given.steps:,} steps, learning rate {given.lr:g}"]
    if given.too_long:
        said.append(
            f"Warning: {given.too_long:,} of {comments:,} customer examples exceed train.max_length and were left out"
        )
    if (left := comments - given.too_long - given.customer - given.unseen) > 0:
        said.append(f"Warning: mix left {left:,} of {comments:,} customer examples out")
    if given.unseen:
        said.append(
            f"Warning: training ended before it saw {given.unseen:,} of {given.customer + given.unseen:,} customer "
            "examples of the mix; raise train.max_steps, or set it to null and train.epochs to 1 or more"
        )
    return said


def unequal(budgets: list[Budget]) -> list[str]:
    """Warn, one line each, of what arms differ in beside the mix."""
    said = []
    for name, form, mend in (
        ("customer", ",", "the arms did not see the same comments; mix.budget: keep_customer keeps all of them"),
        ("steps", ",", "mix.budget: total with mix.unit: tokens holds them nearly equal"),
        ("lr", "g", "compare arms of one rate with each other"),
        ("too_long", ",", "raise train.max_length"),
    ):
        values = [getattr(given, name) for given in budgets]
        if len(set(values)) > 1:
            title = {"customer": "customer examples", "lr": "learning rates", "too_long": "examples that are too long"}
            low, high = (f"{value:{form}}" for value in (min(values), max(values)))
            said.append(f"Warning: {title.get(name, name)} differ: {low} to {high}; {mend}")
    return said


def read_costs() -> list[Row]:
    """Return what each model cost, by the files of their stages."""
    base = read_metrics("metrics/base.json", "base", numbers=TRAINING)  # the rest says where the model comes from
    train = read_metrics("metrics/train.json", "train")
    infer = {model: read_metrics(f"metrics/infer/{model}.json", model).get("infer", {}) for model in ("base", "tuned")}
    return costs(base, train, read_metrics("metrics/svm.json", "svm").get("svm", {}), infer)


def costs(base: Row, train: Row, svm: Row, infer: dict[str, Row]) -> list[Row]:
    """Return a line a kind of cost that is known: `{title, models}`, the amount by model.

    `base`, `train` and `svm` are what metrics/base.json, train.json and svm.json say of the training, empty where there
    was none; `infer` is by model. The rival's core hours hold its labelling, too, a moment beside the training.
    """
    trained = {"base": base, "tuned": train, "svm": svm}
    asked = {**infer, "svm": svm}
    lines = (
        ("seconds of training", {model: _seconds(figures) for model, figures in trained.items()}),
        ("core hours of training", {model: figures.get("core_hours") for model, figures in trained.items()}),
        ("GPU hours of training", {model: figures.get("gpu_hours") for model, figures in trained.items()}),
        ("comments labelled a second", {model: figures.get("comments_per_second") for model, figures in asked.items()}),
    )
    known = (
        {"title": title, "models": {model: amount for model, amount in models.items() if amount is not None}}
        for title, models in lines
    )
    return [line for line in known if line["models"]]


def _seconds(figures: Row) -> float | None:
    if "train_seconds" in figures:
        return figures["train_seconds"]
    return figures["tokens"] / figures["tokens_per_second"] if "tokens" in figures else None


def amount(value: float) -> str:
    """Return a cost in three digits at least, in two where it is tiny: 2.0e-04, 0.00201, 63.4, 27,587."""
    if value >= 999.5:
        return f"{value:,.0f}"
    return f"{value:.1e}" if 0 < value < 0.001 else f"{value:#.3g}".rstrip(".")
