"""Training budget (used to compare runs) and cost of each model."""

from dataclasses import dataclass

from alloy.core.files import Row
from alloy.core.metrics_file import read_metrics
from alloy.formats.general import CUSTOMER

TRAINING = ("train_seconds", "tokens", "tokens_per_second", "core_hours", "gpu_hours")  # cost metrics of a training run


@dataclass(frozen=True)
class Budget:
    """What a model was trained on.

    - `customer`: number of distinct customer examples
    - `steps`: number of training steps
    - `lr`: learning rate
    - `general`: share of general data, in the unit of the mix
    - `too_long`: customer examples that were left out because they exceed `train.max_length`
    - `unseen`: customer examples of the mix that training ended before
    """

    customer: int
    steps: int
    lr: float
    general: float = 0.0
    too_long: int = 0
    unseen: int = 0


def compute_budget(mix: Row, train: Row, lr: float) -> Budget | None:
    """Return the budget of a training run from metrics/mix.json and metrics/train.json; None if nothing was trained."""
    if "steps" not in train:
        return None
    customer_seen = train["source"].get(CUSTOMER, {"examples": 0})["examples"]
    customer_mixed = mix["source"].get(CUSTOMER, {"rows": 0})["rows"]
    too_long = mix.get("too_long", {}).get(CUSTOMER, 0)
    return Budget(
        customer_seen, train["steps"], lr, find_trained_share(mix, train), too_long, customer_mixed - customer_seen
    )


def find_trained_share(mix: Row, train: Row) -> float:
    """Return the share of general data that was trained on, in the unit of the mix.

    If nothing was trained, return the share in the mix.
    """
    return train["general_share"][mix["unit"]] if "general_share" in train else mix["achieved"]


def describe_budget(budget: Budget, comments: int) -> list[str]:
    """Return a line about the budget, and warnings about unused examples. `comments`: number of customer examples."""
    lines = [f"Budget: {budget.customer:,} customer examples, {budget.steps:,} steps, learning rate {budget.lr:g}"]
    if budget.too_long:
        lines.append(
            f"Warning: {budget.too_long:,} of {comments:,} customer examples are longer than train.max_length and were "
            "left out"
        )
    if (not_mixed := comments - budget.too_long - budget.customer - budget.unseen) > 0:
        lines.append(f"Warning: mix left out {not_mixed:,} of {comments:,} customer examples")
    if budget.unseen:
        lines.append(
            f"Warning: training ended before it saw {budget.unseen:,} of {budget.customer + budget.unseen:,} customer "
            "examples of the mix; raise train.max_steps, or set train.max_steps: null and train.epochs to 1 or more"
        )
    return lines


def describe_unequal_budgets(budgets: list[Budget]) -> list[str]:
    """Return a warning for each field of the budget, except `general`, in which runs differ."""
    lines = []
    for name, number_format, fix in (
        (
            "customer",
            ",",
            "the runs did not see the same comments; set mix.budget to keep_customer to keep all of them",
        ),
        ("steps", ",", "set mix.budget to total and mix.unit to tokens to hold them nearly equal"),
        ("lr", "g", "compare only runs of the same learning rate"),
        ("too_long", ",", "raise train.max_length"),
    ):
        values = [getattr(budget, name) for budget in budgets]
        if len(set(values)) > 1:
            title = {"customer": "customer examples", "lr": "learning rates", "too_long": "examples that are too long"}
            low, high = (f"{value:{number_format}}" for value in (min(values), max(values)))
            lines.append(f"Warning: {title.get(name, name)} differ: {low} to {high}; {fix}")
    return lines


def read_costs() -> list[Row]:
    """Return the costs of each model, from the metrics files of the stages."""
    base = read_metrics("metrics/base.json", "base", numbers=TRAINING)  # other keys describe the origin of the model
    train = read_metrics("metrics/train.json", "train")
    infer = {model: read_metrics(f"metrics/infer/{model}.json", model).get("infer", {}) for model in ("base", "tuned")}
    return list_costs(base, train, read_metrics("metrics/svm.json", "svm").get("svm", {}), infer)


def list_costs(base: Row, train: Row, svm: Row, infer: dict[str, Row]) -> list[Row]:
    """Return one line per kind of cost that is known: `{title, models}`, where `models` has the amount by model.

    `base`, `train` and `svm` are the contents of metrics/base.json, train.json and svm.json, empty if nothing was
    trained; `infer` is by model. The SVM's core hours include its labeling, which is short compared with its training.
    """
    training = {"base": base, "tuned": train, "svm": svm}
    inference = {**infer, "svm": svm}
    lines = (
        ("seconds of training", {model: _compute_training_seconds(metrics) for model, metrics in training.items()}),
        ("core hours of training", {model: metrics.get("core_hours") for model, metrics in training.items()}),
        ("GPU hours of training", {model: metrics.get("gpu_hours") for model, metrics in training.items()}),
        (
            "comments labeled per second",
            {model: metrics.get("comments_per_second") for model, metrics in inference.items()},
        ),
    )
    known = (
        {"title": title, "models": {model: amount for model, amount in models.items() if amount is not None}}
        for title, models in lines
    )
    return [line for line in known if line["models"]]


def _compute_training_seconds(metrics: Row) -> float | None:
    if "train_seconds" in metrics:
        return metrics["train_seconds"]
    return metrics["tokens"] / metrics["tokens_per_second"] if "tokens" in metrics else None


def format_amount(value: float) -> str:
    """Return a cost with at least three digits, or two if it is below 0.001: 2.0e-04, 0.00201, 63.4, 27,587."""
    if value >= 999.5:
        return f"{value:,.0f}"
    return f"{value:.1e}" if 0 < value < 0.001 else f"{value:#.3g}".rstrip(".")
