"""`alloy grammar` prints the grammar of this project's task."""

from pathlib import Path

import pytest
import xgrammar

from alloy.commands.print_grammar import main
from alloy.core.files import write_json
from alloy.formats.taxonomy import Taxonomy
from tiny_model import make_tokenizer

TAXONOMY = Taxonomy(("L1", "L2"), {("Setup", "Pairing"): "", ("Price", "Fair"): ""})
TASK = {"levels": ["L1", "L2"], "leaves": 2, "has_content": False, "emotions": [], "most_segments": 2}


def accepts_text(grammar: str, text: str) -> bool:
    tokenizer = make_tokenizer()
    info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=len(tokenizer))
    compiled = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False).compile_grammar(grammar)
    matcher = xgrammar.GrammarMatcher(compiled, terminate_without_stop_token=True)
    return (
        all(not matcher.is_terminated() and matcher.accept_string(letter) for letter in text)
        and matcher.is_terminated()
    )


@pytest.mark.parametrize(
    ("labels", "answer"), [("path", '[{"L1": "Price", "L2": "Fair"}]'), ("code", '[{"label": "2"}]')]
)
def test_the_command_prints_the_grammar_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], labels: str, answer: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(f"prompt: {{labels: {labels}}}\n", encoding="utf-8")
    write_json("data/split/task.json", TASK)
    write_json("data/split/taxonomy.json", TAXONOMY.to_rows())
    main()
    printed = capsys.readouterr().out
    assert accepts_text(printed, answer)
    assert not accepts_text(printed, answer.replace("2", "3"))
