"""`alloy check inputs`: settings, data and model are checked as the stages do, and all errors are told together."""

import json
from pathlib import Path

import pytest
import yaml

from alloy.commands.check_inputs import SECTIONS, main
from alloy.core.files import InputError, write_jsonl
from alloy.core.settings import ListSection, Section
from model_files import write_model
from projects import SECTIONS as OTHERS

PROFILE = {"train": {"lr": 1.0e-4, "max_length": 64}, "infer": {}, **OTHERS, "mmlu": {"fewshot": 1}}
CHAT = [{"role": "user", "content": "Hello"}]
LABELS = [{"L1": "Setup", "L2": "Pairing"}]
DATA = {
    "comments.jsonl": [
        {"id": str(number), "text": f"word{number} is number {number * 7}", "split": side, "segments": LABELS}
        for number, side in enumerate(["train", "test"] * 4)
    ],
    "general.jsonl": [
        {"id": "g", "category": "facts", "source": "s", "messages": [*CHAT, {"role": "assistant", "content": "Hi"}]}
    ],
    "benchmark/test.jsonl": [{"subject": "s", "question": "q?", "choices": ["a", "b", "c", "d"], "answer": 0}],
    "benchmark/dev.jsonl": [{"subject": "s", "question": "r?", "choices": ["a", "b", "c", "d"], "answer": 1}],
    "ifeval.jsonl": [
        {"key": 1, "prompt": "No commas.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    ],
    "prompts.jsonl": [{"id": "a", "category": "greeting", "messages": CHAT}],
}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    for name, rows in DATA.items():
        write_jsonl(tmp_path / "data/x" / name, rows)
    (tmp_path / "data/x/taxonomy.csv").write_text("L1,L2,description\nSetup,Pairing,\nSetup,Manual,\n")
    write_model(tmp_path / "given")
    settings(tmp_path)
    return tmp_path


def settings(project: Path, params: dict | None = None, **profile) -> None:
    data = dict.fromkeys(["comments", "general", "benchmark", "instructions", "chat"], "x")
    (project / "params.yaml").write_text(yaml.safe_dump({"profile": "p", "data": data, **(params or {})}))
    (project / "profiles").mkdir(exist_ok=True)
    given = {"model": {"path": "given"}, **PROFILE, **profile}
    (project / "profiles/p.yaml").write_text(yaml.safe_dump(given))


def errors() -> list[str]:
    with pytest.raises(InputError) as caught:
        main()
    return str(caught.value).splitlines()


def break_row(project: Path, name: str, **values) -> None:
    file = project / "data/x" / name
    first, *rest = (json.loads(line) for line in file.read_text().splitlines())
    write_jsonl(file, [{**first, **values}, *rest])


def test_all_sections_are_checked():
    def below(kind):
        return {one for child in kind.__subclasses__() for one in ({child} | below(child)) if hasattr(one, "key")}

    assert set(SECTIONS) == below(Section) | below(ListSection)


def test_good_inputs_are_told_one_by_one(project, capsys):
    main()
    told = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    wanted = ["settings", "model", "comments", "general", "benchmark", "instructions", "chat", "tasks"]
    assert list(told) == wanted
    assert told["comments"].startswith("8 comments") and told["model"] == "given"
    assert not (project / "models").exists()


@pytest.mark.parametrize(
    ("params", "profile", "places"),
    [
        ({"gate": {"leek": 1}}, {}, ["params.yaml: gate.leek: "]),
        ({}, {"chat": {"max_new_tokens": 0}}, ["profiles/p.yaml: chat.max_new_tokens: "]),
        ({"score": {"head": 0.5}}, {"general": 3}, ["params.yaml: score.head: ", "profiles/p.yaml: general: "]),
    ],
)
def test_every_section_is_checked_and_all_errors_are_told(project, params, profile, places):
    settings(project, params, **profile)
    told = errors()
    assert len(told) == len(places)
    assert all(any(line.startswith(place) for line in told) for place in places)


@pytest.mark.parametrize(
    ("name", "values", "place"),
    [
        ("comments.jsonl", {"text": ""}, "data/x/comments.jsonl:1: "),
        ("general.jsonl", {"source": ""}, "data/x/general.jsonl:1: "),
        ("benchmark/test.jsonl", {"answer": 7}, "data/x/benchmark/test.jsonl:1: "),
        ("ifeval.jsonl", {"instruction_id_list": ["no:such"]}, "data/x/ifeval.jsonl:1: "),
        ("prompts.jsonl", {"messages": []}, "data/x/prompts.jsonl:1: "),
    ],
)
def test_each_file_of_data_is_checked(project, name, values, place):
    break_row(project, name, **values)
    assert errors()[0].startswith(place)


def test_what_is_missing_in_several_places_is_told_together(project):
    (project / "data/x/general.jsonl").unlink()
    (project / "data/x/prompts.jsonl").unlink()
    settings(project, mmlu={"fewshot": 2}, train={"lr": 1.0e-4, "max_length": 300})
    starts = ["train.max_length: 300", "data/x: no file", "profiles/p.yaml: mmlu.fewshot", "data/x: no file"]
    told = errors()
    assert len(told) == len(starts)
    assert all(line.startswith(start) for line, start in zip(told, starts, strict=True))


@pytest.mark.parametrize(
    ("profile", "place"),
    [
        ({"model": {"path": "nothing"}}, "model.path: nothing: "),
        ({"model": {"path": "given", "sha256": "0" * 64}}, "model.path: given: "),
        (
            {"train": {"lr": 1e-4, "max_length": 8, "method": "lora", "lora": {"targets": ["x"]}}},
            "train.lora.targets: ",
        ),
        ({"model": {"hosted": "some-model"}}, "infer.engine: "),
    ],
)
def test_the_model_is_checked_with_the_sections_that_use_it(project, profile, place):
    settings(project, **profile)
    (line,) = errors()
    assert line.startswith(place)


def test_a_general_row_that_the_models_template_refuses_is_an_error_or_left_out(project, capsys):
    template = (project / "given/chat_template.jinja").read_text()
    refusing = (
        "{% for m in messages %}{% if m['role'] == 'tool' %}{{ raise_exception('no tools') }}{% endif %}{% endfor %}"
    )
    (project / "given/chat_template.jinja").write_text(refusing + template)
    turns = [*CHAT, {"role": "tool", "content": "4"}, {"role": "assistant", "content": "It is 4."}]
    good = json.loads((project / "data/x/general.jsonl").read_text())
    write_jsonl(project / "data/x/general.jsonl", [good, {**good, "id": "h", "messages": turns}])
    assert errors()[0].startswith("data/x/general.jsonl:2: ")
    settings(project, {"general_rows": {"on_bad_row": "reject"}})
    main()
    assert "\ngeneral: 2 rows, 1 bad rows left out\n" in capsys.readouterr().out
