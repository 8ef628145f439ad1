"""With xgrammar, the grammar of an answer accepts exactly the answers in the format of the training data."""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import xgrammar

from alloy.core.files import number_lines, read_jsonl
from alloy.datasets.demo.comments import make_comments
from alloy.formats.comments import Segment, parse_comment
from alloy.formats.taxonomy import Taxonomy, load_taxonomy
from alloy.labeling.answer import Codes, assign_codes, render_answer
from alloy.labeling.grammar import (
    JSON_TEXT,
    build_answer_grammar,
    build_content_grammar,
    build_labels_grammar,
    can_quote,
)
from alloy.splitting.validate import check_block
from hostile_comments import HOSTILE
from tiny_model import make_tokenizer

DEMO = Path(__file__).parents[2] / "data" / "demo"
TAXONOMY = Taxonomy(
    ("L1", "L2"), {("Setup", "Pairing"): "", ("Setup", "Easy"): "", ("Price", "Fair"): "", ("Price", "Easy"): ""}
)
FULL_TASK = {"has_content": True, "emotions": ["anger", "joy"], "most_segments": 3}
BARE_TASK: dict[str, Any] = {"has_content": False, "emotions": [], "most_segments": 2}
UNUSUAL_TAXONOMY = Taxonomy(
    ("L1", "L2", "L3"),
    {
        ('"Quoted"', "back\\slash", "C:\\new"): "",
        ('"Quoted"', '", "L3": "', '"}]'): "",
        ("Same", "Same", "Same"): "",
        ("Same", "Same", "Other"): "",
        ("Same", "Other", "Same"): "",
        ("Türschloss", "Замок > ключ", "鍵 🔑"): "",
        ("قفل", "ताला", "กุญแจ"): "",
        ("a\tb", "tab\nline", "\u2028\u0001\x7f"): "",
        ("(none)", "[x]* | y", "{0,3} # ::="): "",
        ("Same ", "Same", "S"): "",
    },
)


@cache
def make_compiler() -> xgrammar.GrammarCompiler:
    tokens = make_tokenizer()
    info = xgrammar.TokenizerInfo.from_huggingface(tokens, vocab_size=len(tokens))
    return xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)


class Reader:
    """Checks texts against one grammar, letter by letter."""

    def __init__(self, grammar: str) -> None:
        self.compiled = make_compiler().compile_grammar(grammar)

    def accepts(self, text: str) -> bool:
        matcher = xgrammar.GrammarMatcher(self.compiled, terminate_without_stop_token=True)
        return (
            all(not matcher.is_terminated() and matcher.accept_string(letter) for letter in text)
            and matcher.is_terminated()
        )


def make_answer_reader(taxonomy: Taxonomy, task: dict[str, Any], codes: Codes | None = None) -> Reader:
    return Reader(build_answer_grammar(taxonomy, task, codes))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with the comments of the demo."""
    folder = tmp_path_factory.mktemp("demo")
    make_comments(DEMO, folder)
    return folder


@pytest.mark.parametrize("coded", [False, True])
def test_every_gold_answer_of_the_demo_is_accepted(demo: Path, coded: bool) -> None:
    taxonomy = load_taxonomy(demo / "taxonomy.csv")
    comments = [parse_comment(row, taxonomy) for row in read_jsonl(demo / "comments.jsonl")]
    codes = assign_codes(taxonomy) if coded else None
    task = check_block(demo, taxonomy, list(number_lines(demo / "comments.jsonl"))).describe_task(taxonomy)
    reader = make_answer_reader(taxonomy, task, codes)
    gold = [render_answer(comment.segments, taxonomy.levels, codes) for comment in comments[::5]]
    assert [answer for answer in gold if not reader.accepts(answer)] == []


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("path", UNUSUAL_TAXONOMY.leaves)
def test_labels_of_any_letters_are_accepted(path: tuple[str, ...], coded: bool) -> None:
    codes = assign_codes(UNUSUAL_TAXONOMY) if coded else None
    segments = (Segment(path, 'said "so"', "joy"), Segment(path, "\\", "anger"))
    assert make_answer_reader(UNUSUAL_TAXONOMY, FULL_TASK, codes).accepts(
        render_answer(segments, UNUSUAL_TAXONOMY.levels, codes)
    )


def test_equal_names_at_several_levels_are_distinguished() -> None:
    reader = make_answer_reader(UNUSUAL_TAXONOMY, BARE_TASK)
    assert reader.accepts('[{"L1": "Same", "L2": "Other", "L3": "Same"}]')
    assert not reader.accepts('[{"L1": "Same", "L2": "Other", "L3": "Other"}]')
    assert not reader.accepts('[{"L1": "Same", "L2": "Same", "L3": "S"}]')
    assert reader.accepts('[{"L1": "Same ", "L2": "Same", "L3": "S"}]')


@pytest.mark.parametrize("emotions", [[], ["joy", 'so "so"', "怒り", "\\"]])
@pytest.mark.parametrize("has_content", [False, True])
@pytest.mark.parametrize("coded", [False, True])
def test_keys_match_the_task(has_content: bool, emotions: list[str], coded: bool) -> None:
    codes = assign_codes(TAXONOMY) if coded else None
    task = {"has_content": has_content, "emotions": emotions, "most_segments": 9}
    reader = make_answer_reader(TAXONOMY, task, codes)
    for content in (None, "It hurts."):
        for emotion in (None, *emotions):
            answer = render_answer((Segment(("Setup", "Easy"), content, emotion),) * 2, TAXONOMY.levels, codes)
            fits = (content is not None) == has_content and (emotion is not None) == bool(emotions)
            assert reader.accepts(answer) == fits


@pytest.mark.parametrize("content", HOSTILE)
def test_a_content_may_be_any_text(content: str) -> None:
    answer = render_answer((Segment(("Setup", "Easy"), content, "joy"),), TAXONOMY.levels)
    assert make_full_reader().accepts(answer)


@cache
def make_full_reader() -> Reader:
    return make_answer_reader(TAXONOMY, FULL_TASK)


@cache
def make_bare_reader() -> Reader:
    return make_answer_reader(TAXONOMY, BARE_TASK)


SEGMENT = '{"L1": "Setup", "L2": "Easy"}'


def test_one_segment_up_to_most_segments_are_accepted() -> None:
    assert make_bare_reader().accepts(f"[{SEGMENT}]")
    assert make_bare_reader().accepts(f"[{SEGMENT}, {SEGMENT}]")


INVALID_ANSWERS = {
    "an invented label": '[{"L1": "Setup", "L2": "Hard"}]',
    "an invented first label": '[{"L1": "Sound", "L2": "Easy"}]',
    "labels of two paths": '[{"L1": "Price", "L2": "Pairing"}]',
    "a label in another case": '[{"L1": "setup", "L2": "Easy"}]',
    "a truncated label": '[{"L1": "Setup", "L2": "Pair"}]',
    "a label with extra letters": '[{"L1": "Setup", "L2": "Pairings"}]',
    "a missing level": '[{"L1": "Setup"}]',
    "a missing first level": '[{"L2": "Easy"}]',
    "levels in another order": '[{"L2": "Easy", "L1": "Setup"}]',
    "an extra key": '[{"L1": "Setup", "L2": "Easy", "L3": "x"}]',
    "an unexpected emotion": '[{"L1": "Setup", "L2": "Easy", "emotion": "joy"}]',
    "a code": '[{"label": "1"}]',
    "a missing space after a comma": '[{"L1": "Setup","L2": "Easy"}]',
    "a missing space after a colon": '[{"L1":"Setup", "L2": "Easy"}]',
    "a missing space between segments": f"[{SEGMENT},{SEGMENT}]",
    "a line break between segments": f"[{SEGMENT},\n{SEGMENT}]",
    "too many segments": f"[{SEGMENT}, {SEGMENT}, {SEGMENT}]",
    "an empty list": "[]",
    "an object without a list": SEGMENT,
    "an unclosed list": f"[{SEGMENT}",
    "a comma at the end": f"[{SEGMENT}, ]",
    "text before the answer": f" [{SEGMENT}]",
    "text after the answer": f"[{SEGMENT}] ",
    "two lists": f"[{SEGMENT}][{SEGMENT}]",
    "an empty answer": "",
}


@pytest.mark.parametrize("text", INVALID_ANSWERS.values(), ids=INVALID_ANSWERS)
def test_answers_outside_the_training_format_are_refused(text: str) -> None:
    assert not make_bare_reader().accepts(text)


INVALID_SEGMENTS = {
    "a missing content": '[{"L1": "Setup", "L2": "Easy", "emotion": "joy"}]',
    "an empty content": '[{"content": "", "L1": "Setup", "L2": "Easy", "emotion": "joy"}]',
    "a missing emotion": '[{"content": "x", "L1": "Setup", "L2": "Easy"}]',
    "an invented emotion": '[{"content": "x", "L1": "Setup", "L2": "Easy", "emotion": "envy"}]',
    "an unescaped quote": '[{"content": "x"y", "L1": "Setup", "L2": "Easy", "emotion": "joy"}]',
    "a raw line break": '[{"content": "x\ny", "L1": "Setup", "L2": "Easy", "emotion": "joy"}]',
    "an invalid escape": '[{"content": "\\x", "L1": "Setup", "L2": "Easy", "emotion": "joy"}]',
    "a lone surrogate": '[{"content": "\\ud83d", "L1": "Setup", "L2": "Easy", "emotion": "joy"}]',
}


@pytest.mark.parametrize("text", INVALID_SEGMENTS.values(), ids=INVALID_SEGMENTS)
def test_contents_and_emotions_are_restricted_too(text: str) -> None:
    assert not make_full_reader().accepts(text)


@pytest.mark.parametrize("text", ['[{"label": "5"}]', '[{"label": "01"}]', '[{"label": ""}]', f"[{SEGMENT}]"])
def test_unknown_codes_are_refused(text: str) -> None:
    reader = make_answer_reader(TAXONOMY, BARE_TASK, assign_codes(TAXONOMY))
    assert reader.accepts('[{"label": "4"}]')
    assert not reader.accepts(text)


def test_a_taxonomy_of_one_level_works() -> None:
    reader = make_answer_reader(
        Taxonomy(("L1",), {("Praise",): "", ("Problem",): ""}), {**BARE_TASK, "most_segments": 1}
    )
    assert reader.accepts('[{"L1": "Praise"}]')
    assert not reader.accepts('[{"L1": "Pr"}]')


def make_large_taxonomy() -> Taxonomy:
    """Return 1,420 random paths of four levels."""
    rng = random.Random(0)
    letters = "abcdefghij äß鍵к\"\\'>|"

    def label() -> str:
        return "x" + "".join(rng.choices(letters, k=rng.randint(2, 30)))

    tops = [label() for _ in range(12)]
    middles = [label() for _ in range(60)]
    paths: dict[tuple[str, ...], str] = {}
    while len(paths) < 1420:
        paths[rng.choice(tops), rng.choice(middles), rng.choice(middles), label()] = ""
    return Taxonomy(("L1", "L2", "L3", "L4"), paths)


def test_a_large_taxonomy_accepts_every_path() -> None:
    taxonomy = make_large_taxonomy()
    reader = make_answer_reader(taxonomy, FULL_TASK)
    paths = list(taxonomy.leaves)
    for path in paths[::20]:
        assert reader.accepts(render_answer((Segment(path, "x", "joy"),), taxonomy.levels))
    for first, second in zip(paths[::40], paths[20::40], strict=False):
        mixed = (*first[:2], *second[2:])
        accepted = reader.accepts(render_answer((Segment(mixed, "x", "joy"),), taxonomy.levels))
        assert accepted == (mixed in taxonomy.leaves)


def test_a_large_taxonomy_in_codes_accepts_every_code() -> None:
    taxonomy = make_large_taxonomy()
    reader = make_answer_reader(taxonomy, BARE_TASK, assign_codes(taxonomy))
    assert reader.accepts('[{"label": "0001"}, {"label": "1420"}]')
    assert not reader.accepts('[{"label": "1421"}]')
    assert not reader.accepts('[{"label": "0000"}]')


@pytest.mark.parametrize(
    ("content", "quoted"),
    [
        ("It won't pair", True),
        ("won't", True),
        ("t pair, sadly", True),
        ("It", True),
        ('said "so"', True),
        ("sadly.\nThey", True),
        ("", False),
        ("It won", True),
        ("It wo", False),
        ("It pair", False),
        ("pair,  sadly", False),
        (" pair", False),
        ("pair ", False),
        ("it won't pair", False),
        ("pair, happily", False),
        ("They said.", False),
    ],
)
def test_a_content_quotes_whole_words_in_their_order(content: str, quoted: bool) -> None:
    reader = Reader(build_content_grammar('It won\'t pair, sadly.\nThey said "so"'))
    assert reader.accepts(f'content": {json.dumps(content)}, "') == quoted


@pytest.mark.parametrize(
    ("comment", "content"),
    [
        ("门锁每天早上都卡住", "每天"),
        ("กุญแจติดขัดทุกเช้า", "ติดขัด"),
        ("鍵がひっかかる", "ひっか"),
        ("자물쇠가 걸려요", "걸려요"),
    ],
)
def test_a_content_may_start_at_any_letter_in_scripts_without_spaces(comment: str, content: str) -> None:
    assert Reader(build_content_grammar(comment)).accepts(f'content": "{content}", "')


def test_the_grammar_of_a_long_comment_does_not_contain_its_words() -> None:
    short, long = (build_answer_grammar(TAXONOMY, FULL_TASK, None, "lock " * count) for count in (9, 900))
    assert '"lock"' in short
    assert f"content ::= {JSON_TEXT}" in long
    assert len(long) < len(short) + 200


@pytest.mark.parametrize("comment", [comment for comment in HOSTILE if can_quote(comment)])
def test_a_content_may_quote_a_whole_comment(comment: str) -> None:
    quote = json.dumps(comment.strip(), ensure_ascii=False)
    assert Reader(build_content_grammar(comment)).accepts(f'content": {quote}, "')


def test_after_a_label_the_answer_ends_or_another_segment_starts() -> None:
    reader = Reader(build_labels_grammar(TAXONOMY, BARE_TASK, None, last=False))
    assert reader.accepts('L1": "Setup", "L2": "Easy"}]')
    assert reader.accepts('L1": "Setup", "L2": "Easy"}, {"')
    assert not reader.accepts('L1": "Setup", "L2": "Easy"}')


def test_after_the_last_segment_the_answer_ends() -> None:
    reader = Reader(build_labels_grammar(TAXONOMY, FULL_TASK, assign_codes(TAXONOMY), last=True))
    assert reader.accepts('label": "1", "emotion": "joy"}]')
    assert not reader.accepts('label": "1", "emotion": "joy"}, {"')
