"""Measure a model's general ability on multiple-choice questions, by likelihood and by generated answer, with lm-eval.

Reads   data/<benchmark>/benchmark/test.jsonl, dev.jsonl; models/<model>
Writes  metrics/mmlu/<model>.json
Run     dvc repro mmlu@tuned

The two figures tell knowledge from format: `acc` asks which choice the model finds most likely, `generated_acc` what
it says when asked, and `unparsed` how often that is no answer at all.
"""

import logging
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.benchmark import Questions, generated_task, likelihood_task, load_questions
from stages.checkpoint import hosted
from stages.entry import run
from stages.params import load_params, load_profile
from stages.records import InputError, Row, write_json
from stages.scale import AnswerAs, Mmlu

if TYPE_CHECKING:
    from lm_eval.api.model import LM
    from lm_eval.api.task import Task


def evaluate(model: "LM", questions: Questions, mmlu: Mmlu) -> Row:
    """Return overall and per-subject figures; overall is the mean over all questions."""
    likelihood = {subject: likelihood_task(subject, splits, mmlu) for subject, splits in questions.items()}
    generated = {subject: generated_task(subject, splits, mmlu) for subject, splits in questions.items()}
    by_text = mmlu.answer is AnswerAs.text
    known = _results(model, list(likelihood.values()), mmlu, chat=by_text)
    said = _results(model, list(generated.values()), mmlu, chat=True)
    subjects = {
        subject: {
            "questions": int(known[f"mmlu_{subject}"]["sample_len"]),
            "acc": known[f"mmlu_{subject}"]["acc,none"],
            "generated_acc": said[f"mmlu_{subject}_generated"]["generated_acc,none"],
            "unparsed": said[f"mmlu_{subject}_generated"]["unparsed,none"],
        }
        for subject in questions
    }
    total = sum(row["questions"] for row in subjects.values())
    overall = {
        metric: round(sum(row[metric] * row["questions"] for row in subjects.values()) / total, 4)
        for metric in ("acc", "generated_acc", "unparsed")
    }
    rounded = {
        subject: {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}
        for subject, row in subjects.items()
    }
    return {**overall, "questions": total, "subjects": rounded}


def _results(model: "LM", tasks: "list[Task]", mmlu: Mmlu, *, chat: bool) -> dict[str, dict[str, Any]]:
    import lm_eval

    evaluate_tasks: Any = lm_eval.simple_evaluate  # its decorators hide its signature
    results = evaluate_tasks(
        model=model,
        tasks=[*tasks],
        num_fewshot=mmlu.fewshot,
        limit=mmlu.limit,
        apply_chat_template=chat,
        bootstrap_iters=0,
        log_samples=False,
    )
    return results["results"]


def main() -> None:
    """Load, ask, write."""
    name = sys.argv[1]
    params = load_params()
    mmlu = load_profile(params.profile).mmlu
    if service := hosted(f"models/{name}"):
        write_json(f"metrics/mmlu/{name}.json", {name: {}})
        print(f"mmlu {name}: skipped, {service} is hosted and tells no likelihoods")
        return
    questions = load_questions(Path("data") / params.data.benchmark / "benchmark")

    fewest = min(len(splits["dev"]) for splits in questions.values())
    if mmlu.fewshot > fewest:
        raise InputError(
            f"profiles/{params.profile}.yaml: mmlu.fewshot: {mmlu.fewshot}, but a subject has {fewest} dev rows"
        )

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    from lm_eval.api import model as lm_eval_model
    from lm_eval.api import task
    from lm_eval.models import huggingface
    from tqdm import tqdm

    class TerminalBar(tqdm):
        """lm-eval's bars say `disable` outright; this one shows on a terminal only."""

        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 (as tqdm's)
            super().__init__(*args, **{**options, "disable": None})

    from stages.checkpoint import load

    # Two bars a subject last a moment each and go; those over all requests stay, on a terminal.
    task.tqdm = partial(task.tqdm, disable=True)
    lm_eval_model.tqdm = huggingface.tqdm = TerminalBar
    model, tokenizer = load(f"models/{name}")
    harness: Any = huggingface.HFLM  # its decorators hide its signature
    lm = harness(pretrained=model, tokenizer=tokenizer, batch_size=mmlu.batch_size)
    figures = evaluate(lm, questions, mmlu)
    write_json(f"metrics/mmlu/{name}.json", {name: {"mmlu": figures}})
    print(f"mmlu {name}: acc {figures['acc']:.3f}, generated {figures['generated_acc']:.3f}")


if __name__ == "__main__":
    run(main)
