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
from hostile import HOSTILE
from small import make_tokenizer

DEMO = Path(__file__).parents[2] / "data" / "demo"
TAXONOMY = Taxonomy(
    ("L1", "L2"), {("Setup", "Pairing"): "", ("Setup", "Easy"): "", ("Price", "Fair"): "", ("Price", "Easy"): ""}
)
FULL = {"has_content": True, "emotions": ["anger", "joy"], "most_segments": 3}
BARE: dict[str, Any] = {"has_content": False, "emotions": [], "most_segments": 2}
STRANGE = Taxonomy(
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

    def takes(self, text: str) -> bool:
        matcher = xgrammar.GrammarMatcher(self.compiled, terminate_without_stop_token=True)
        return (
            all(not matcher.is_terminated() and matcher.accept_string(letter) for letter in text)
            and matcher.is_terminated()
        )


def make_answer_reader(taxonomy: Taxonomy, task: dict[str, Any], codes: Codes | None = None) -> Reader:
    return Reader(build_answer_grammar(taxonomy, task, codes))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo's comments."""
    folder = tmp_path_factory.mktemp("world")
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
    assert [answer for answer in gold if not reader.takes(answer)] == []


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("path", STRANGE.leaves)
def test_labels_of_any_letters_are_accepted(path: tuple[str, ...], coded: bool) -> None:
    codes = assign_codes(STRANGE) if coded else None
    segments = (Segment(path, 'said "so"', "joy"), Segment(path, "\\", "anger"))
    assert make_answer_reader(STRANGE, FULL, codes).takes(render_answer(segments, STRANGE.levels, codes))


def test_equal_names_at_several_levels_are_distinguished() -> None:
    reader = make_answer_reader(STRANGE, BARE)
    assert reader.takes('[{"L1": "Same", "L2": "Other", "L3": "Same"}]')
    assert not reader.takes('[{"L1": "Same", "L2": "Other", "L3": "Other"}]')
    assert not reader.takes('[{"L1": "Same", "L2": "Same", "L3": "S"}]')
    assert reader.takes('[{"L1": "Same ", "L2": "Same", "L3": "S"}]')


@pytest.mark.parametrize("emotions", [[], ["joy", 'so "so"', "怒り", "\\"]])
@pytest.mark.parametrize("has_content", [False, True])
@pytest.mark.parametrize("coded", [False, True])
def test_keys_are_those_of_the_task(has_content: bool, emotions: list[str], coded: bool) -> None:
    codes = assign_codes(TAXONOMY) if coded else None
    task = {"has_content": has_content, "emotions": emotions, "most_segments": 9}
    reader = make_answer_reader(TAXONOMY, task, codes)
    for content in (None, "It hurts."):
        for emotion in (None, *emotions):
            answer = render_answer((Segment(("Setup", "Easy"), content, emotion),) * 2, TAXONOMY.levels, codes)
            fits = (content is not None) == has_content and (emotion is not None) == bool(emotions)
            assert reader.takes(answer) == fits


@pytest.mark.parametrize("content", HOSTILE)
def test_a_content_may_be_any_text(content: str) -> None:
    answer = render_answer((Segment(("Setup", "Easy"), content, "joy"),), TAXONOMY.levels)
    assert make_full_reader().takes(answer)


@cache
def make_full_reader() -> Reader:
    return make_answer_reader(TAXONOMY, FULL)


@cache
def make_bare_reader() -> Reader:
    return make_answer_reader(TAXONOMY, BARE)


GOOD = '{"L1": "Setup", "L2": "Easy"}'


def test_one_segment_up_to_the_most_are_accepted() -> None:
    assert make_bare_reader().takes(f"[{GOOD}]")
    assert make_bare_reader().takes(f"[{GOOD}, {GOOD}]")


REFUSED = {
    "an invented label": '[{"L1": "Setup", "L2": "Hard"}]',
    "an invented first label": '[{"L1": "Sound", "L2": "Easy"}]',
    "labels of two paths": '[{"L1": "Price", "L2": "Pairing"}]',
    "a label in other letters": '[{"L1": "setup", "L2": "Easy"}]',
    "a part of a label": '[{"L1": "Setup", "L2": "Pair"}]',
    "more than a label": '[{"L1": "Setup", "L2": "Pairings"}]',
    "a missing level": '[{"L1": "Setup"}]',
    "a missing first level": '[{"L2": "Easy"}]',
    "levels in another order": '[{"L2": "Easy", "L1": "Setup"}]',
    "a key too many": '[{"L1": "Setup", "L2": "Easy", "L3": "x"}]',
    "an emotion nobody asked for": '[{"L1": "Setup", "L2": "Easy", "emotion": "joy"}]',
    "a code": '[{"label": "1"}]',
    "no space after a comma": '[{"L1": "Setup","L2": "Easy"}]',
    "no space after a colon": '[{"L1":"Setup", "L2": "Easy"}]',
    "no space between segments": f"[{GOOD},{GOOD}]",
    "a line between segments": f"[{GOOD},\n{GOOD}]",
    "too many segments": f"[{GOOD}, {GOOD}, {GOOD}]",
    "no segment": "[]",
    "an object alone": GOOD,
    "an open list": f"[{GOOD}",
    "a comma at the end": f"[{GOOD}, ]",
    "text before": f" [{GOOD}]",
    "text after the answer": f"[{GOOD}] ",
    "two lists": f"[{GOOD}][{GOOD}]",
    "nothing": "",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_what_training_does_not_teach_is_refused(text: str) -> None:
    assert not make_bare_reader().takes(text)


UNFIT = {
    "no content": '[{"L1": "Setup", "L2": "Easy", "emotion": "joy"}]',
    "an empty content": '[{"content": "", "L1": "Setup", "L2": "Easy", "emotion": "joy"}]',
    "no emotion": '[{"content": "x", "L1": "Setup", "L2": "Easy"}]',
    "an invented emotion": '[{"content": "x", "L1": "Setup", "L2": "Easy", "emotion": "envy"}]',
    "an open quote": '[{"content": "x"y", "L1": "Setup", "L2": "Easy", "emotion": "joy"}]',
    "a raw line break": '[{"content": "x\ny", "L1": "Setup", "L2": "Easy", "emotion": "joy"}]',
    "a bad escape": '[{"content": "\\x", "L1": "Setup", "L2": "Easy", "emotion": "joy"}]',
    "half a pair": '[{"content": "\\ud83d", "L1": "Setup", "L2": "Easy", "emotion": "joy"}]',
}


@pytest.mark.parametrize("text", UNFIT.values(), ids=UNFIT)
def test_contents_and_emotions_are_restricted_too(text: str) -> None:
    assert not make_full_reader().takes(text)


@pytest.mark.parametrize("text", ['[{"label": "5"}]', '[{"label": "01"}]', '[{"label": ""}]', f"[{GOOD}]"])
def test_unknown_codes_are_refused(text: str) -> None:
    reader = make_answer_reader(TAXONOMY, BARE, assign_codes(TAXONOMY))
    assert reader.takes('[{"label": "4"}]')
    assert not reader.takes(text)


def test_a_taxonomy_of_one_level_works() -> None:
    reader = make_answer_reader(Taxonomy(("L1",), {("Praise",): "", ("Problem",): ""}), {**BARE, "most_segments": 1})
    assert reader.takes('[{"L1": "Praise"}]')
    assert not reader.takes('[{"L1": "Pr"}]')


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
    reader = make_answer_reader(taxonomy, FULL)
    paths = list(taxonomy.leaves)
    for path in paths[::20]:
        assert reader.takes(render_answer((Segment(path, "x", "joy"),), taxonomy.levels))
    for first, second in zip(paths[::40], paths[20::40], strict=False):
        mixed = (*first[:2], *second[2:])
        taken = reader.takes(render_answer((Segment(mixed, "x", "joy"),), taxonomy.levels))
        assert taken == (mixed in taxonomy.leaves)


def test_a_large_taxonomy_in_codes_accepts_every_code() -> None:
    taxonomy = make_large_taxonomy()
    reader = make_answer_reader(taxonomy, BARE, assign_codes(taxonomy))
    assert reader.takes('[{"label": "0001"}, {"label": "1420"}]')
    assert not reader.takes('[{"label": "1421"}]')
    assert not reader.takes('[{"label": "0000"}]')


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
    assert reader.takes(f'content": {json.dumps(content)}, "') == quoted


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
    assert Reader(build_content_grammar(comment)).takes(f'content": "{content}", "')


def test_the_grammar_of_a_long_comment_does_not_contain_its_words() -> None:
    short, long = (build_answer_grammar(TAXONOMY, FULL, None, "lock " * count) for count in (9, 900))
    assert '"lock"' in short
    assert f"content ::= {JSON_TEXT}" in long
    assert len(long) < len(short) + 200


@pytest.mark.parametrize("comment", [comment for comment in HOSTILE if can_quote(comment)])
def test_every_comment_may_be_quoted_whole(comment: str) -> None:
    whole = json.dumps(comment.strip(), ensure_ascii=False)
    assert Reader(build_content_grammar(comment)).takes(f'content": {whole}, "')


def test_the_part_of_the_labels_ends_the_answer_or_goes_on() -> None:
    reader = Reader(build_labels_grammar(TAXONOMY, BARE, None, last=False))
    assert reader.takes('L1": "Setup", "L2": "Easy"}]')
    assert reader.takes('L1": "Setup", "L2": "Easy"}, {"')
    assert not reader.takes('L1": "Setup", "L2": "Easy"}')


def test_after_the_last_segment_the_answer_ends() -> None:
    reader = Reader(build_labels_grammar(TAXONOMY, FULL, assign_codes(TAXONOMY), last=True))
    assert reader.takes('label": "1", "emotion": "joy"}]')
    assert not reader.takes('label": "1", "emotion": "joy"}, {"')
