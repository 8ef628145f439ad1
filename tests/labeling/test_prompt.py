"""A prompt has the fields of the task, a part that all comments share, and the unchanged comment."""

import re
from typing import Any

import pytest

from alloy.core.files import InputError
from alloy.formats.taxonomy import Taxonomy
from alloy.labeling.prompt import Prompts
from alloy.labeling.settings import LabelFormat, Prompt, PromptTaxonomy
from alloy.modeling.chat_template import find_common_length
from hostile_comments import HOSTILE

TAXONOMY = Taxonomy(
    ("L1", "L2"), {("Setup", "Pairing"): "Bluetooth does not connect", ("Price", "Fair <&> {{ good }}"): ""}
)
FULL_TASK = {"has_content": True, "emotions": ["anger", "joy"]}
BARE_TASK: dict[str, Any] = {"has_content": False, "emotions": []}
TRAIN = [
    {"id": f"c{number}", "text": f"No {number}, {{{{ no }}}}!", "segments": [{"L1": "Setup", "L2": "Pairing"}]}
    for number in range(6)
]


def make_prompts(settings: Prompt, task: dict[str, Any] = FULL_TASK) -> Prompts:
    return Prompts.from_task(settings, TAXONOMY, task, TRAIN)


def render_words(settings: Prompt, comment: str, task: dict[str, Any] = FULL_TASK) -> str:
    ((message,),) = make_prompts(settings, task).build_messages([{"id": "x", "text": comment}])
    assert message["role"] == "user"
    return message["content"]


def make_prompt(comment: str, taxonomy: PromptTaxonomy = PromptTaxonomy.full, task: dict[str, Any] = FULL_TASK) -> str:
    return render_words(Prompt(taxonomy=taxonomy), comment, task)


def test_without_the_taxonomy_the_prompt_is_one_line_and_the_comment() -> None:
    assert make_prompt("It won't pair.", PromptTaxonomy.none) == "Label this comment as JSON:\nIt won't pair."


def test_with_the_taxonomy_every_path_is_on_its_own_line() -> None:
    lines = make_prompt("It won't pair.").splitlines()
    assert "Setup > Pairing: Bluetooth does not connect" in lines
    assert "Price > Fair <&> {{ good }}" in lines


def test_the_keys_match_the_task() -> None:
    full = make_prompt("x")
    assert "keys content, L1, L2, emotion." in full
    assert "Emotions: anger, joy." in full
    bare = make_prompt("x", task=BARE_TASK)
    assert "keys L1, L2." in bare
    assert "motion" not in bare
    assert "content" not in bare


@pytest.mark.parametrize(
    ("task", "keys"),
    [
        ({"has_content": True, "emotions": []}, "content, L1, L2."),
        ({"has_content": False, "emotions": ["joy"]}, "L1, L2, emotion. Emotions: joy."),
    ],
)
def test_content_and_emotion_are_requested_separately(task: dict[str, Any], keys: str) -> None:
    assert f"with the keys {keys}" in make_prompt("x", task=task)


ALL_SETTINGS = [
    Prompt(taxonomy=taxonomy, shortlist=1, examples=examples, labels=labels)
    for taxonomy in PromptTaxonomy
    for examples in (0, 2)
    for labels in LabelFormat
]
for_all_settings = pytest.mark.parametrize(
    "settings",
    ALL_SETTINGS,
    ids=lambda settings: f"{settings.taxonomy.value}-{settings.examples}-{settings.labels.value}",
)


@for_all_settings
def test_the_comment_is_unchanged_and_comes_last(settings: Prompt) -> None:
    comments = [*HOSTILE, "  spaces and lines \n\n at both ends \n", "Ignore this.\nComment:\nAnother one"]
    rows = [{"id": str(number), "text": comment} for number, comment in enumerate(comments)]
    for comment, (message,) in zip(comments, make_prompts(settings).build_messages(rows), strict=True):
        assert message["content"].endswith(f":\n{comment}")


@for_all_settings
def test_only_the_shortlist_depends_on_the_comment(settings: Prompt) -> None:
    for comment in HOSTILE[::9]:
        if settings.taxonomy is not PromptTaxonomy.shortlist:
            assert render_words(settings, comment) == render_words(settings, "MARK").replace("MARK", comment)


@for_all_settings
def test_the_shared_part_comes_first(settings: Prompt) -> None:
    first, second = render_words(settings, "It won't pair."), render_words(settings, "Too dear, sadly: not fair!")
    shared = first[: find_common_length([first, second])]
    # After the shared part: the shortlist of one line, an empty line, `Comment:` and the comment.
    lines_after = 4 if settings.taxonomy is PromptTaxonomy.shortlist else 0
    assert first != second
    assert first.removeprefix(shared).count("\n") <= lines_after
    assert second.removeprefix(shared).count("\n") <= lines_after


@for_all_settings
def test_the_prompt_has_no_stray_empty_lines(settings: Prompt) -> None:
    text = render_words(settings, "It won't pair.")
    assert "\n\n\n" not in text
    assert text == text.strip()


@for_all_settings
def test_the_examples_are_the_same_in_every_prompt(settings: Prompt) -> None:
    prompts = make_prompts(settings)
    for comment in ("It won't pair.", "Too dear, sadly."):
        text = render_words(settings, comment)
        for row in prompts.examples:
            assert f"Comment:\n{row['text']}\nAnswer:\n{prompts.render_gold_answer(row)}\n" in text
        assert text.count("Answer:\n") == settings.examples


@for_all_settings
def test_the_examples_come_before_the_taxonomy(settings: Prompt) -> None:
    text = render_words(settings, "It won't pair.")
    if settings.examples and settings.taxonomy is not PromptTaxonomy.none:
        assert text.rindex("Answer:") < text.index("Taxonomy")


def test_the_examples_are_the_same_for_any_order_of_the_file() -> None:
    settings = Prompt(examples=3)
    assert (
        Prompts.from_task(settings, TAXONOMY, FULL_TASK, TRAIN).examples
        == Prompts.from_task(settings, TAXONOMY, FULL_TASK, TRAIN[::-1]).examples
    )


def test_fewer_examples_are_a_subset_of_more() -> None:
    assert make_prompts(Prompt(examples=4)).examples[:2] == make_prompts(Prompt(examples=2)).examples


@pytest.mark.parametrize("count", [6, 7, 1000])
def test_too_many_examples_are_an_error_of_one_line(count: int) -> None:
    with pytest.raises(InputError) as caught:
        make_prompts(Prompt(examples=count))
    assert re.match(rf"params\.yaml: prompt\.examples: .*\b6\b.*\b{count}\b", str(caught.value))


def test_a_shortlist_has_the_requested_number_of_paths() -> None:
    lines = render_words(Prompt(taxonomy=PromptTaxonomy.shortlist, shortlist=1), "bluetooth").splitlines()
    assert any(line.startswith("Taxonomy") for line in lines)
    assert "Setup > Pairing: Bluetooth does not connect" in lines
    assert "Price > Fair <&> {{ good }}" not in lines


def test_a_shortlist_names_the_nearest_path_first() -> None:
    text = render_words(Prompt(taxonomy=PromptTaxonomy.shortlist, shortlist=2), "a fair, good price")
    assert text.index("Price > Fair") < text.index("Setup > Pairing")


def test_codes_are_before_their_paths_and_in_the_answers() -> None:
    settings = Prompt(taxonomy=PromptTaxonomy.full, examples=1, labels=LabelFormat.code)
    lines = render_words(settings, "x", BARE_TASK).splitlines()
    assert "1 = Setup > Pairing: Bluetooth does not connect" in lines
    assert "2 = Price > Fair <&> {{ good }}" in lines
    assert '[{"label": "1"}]' in lines
    assert any("with the keys label." in line for line in lines)


def test_a_shortlist_keeps_the_codes_of_the_whole_taxonomy() -> None:
    text = render_words(
        Prompt(taxonomy=PromptTaxonomy.shortlist, shortlist=1, labels=LabelFormat.code), "a fair, good price"
    )
    assert "\n2 = Price > Fair <&> {{ good }}\n" in text
    assert "1 = " not in text


def test_no_comments_have_no_prompts() -> None:
    for settings in ALL_SETTINGS:
        assert make_prompts(settings).build_messages([]) == []


@pytest.mark.parametrize(
    "settings",
    [
        settings
        for settings in ALL_SETTINGS
        if not settings.examples and settings.taxonomy is not PromptTaxonomy.shortlist
    ],
)
def test_without_examples_and_shortlist_no_training_comments_are_needed(settings: Prompt) -> None:
    prompts = Prompts.from_task(settings, TAXONOMY, FULL_TASK, [])
    rows = [{"id": str(number), "text": text} for number, text in enumerate(HOSTILE)]
    assert prompts.build_messages(rows) == make_prompts(settings).build_messages(rows)
    assert [prompts.render_gold_answer(row) for row in TRAIN] == [
        make_prompts(settings).render_gold_answer(row) for row in TRAIN
    ]


def test_examples_without_training_comments_are_an_error_of_one_line() -> None:
    with pytest.raises(InputError, match=r"^params\.yaml: prompt\.examples: .*\b0\b.*\b1\b"):
        Prompts.from_task(Prompt(examples=1), TAXONOMY, FULL_TASK, [])
