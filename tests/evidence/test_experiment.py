"""Experiments are read from their files, and those of the project have valid settings."""

from pathlib import Path

import pytest
import yaml

from alloy.core.files import InputError
from alloy.core.settings import Data
from alloy.evaluation.settings import Chat, GeneralLoss, Harness, Ifeval, Mmlu
from alloy.evidence.clone import make_settings_files
from alloy.evidence.experiment import FOLDER, make_slug, read_experiment
from alloy.inference.settings import Infer
from alloy.mixing.settings import Mix
from alloy.training.settings import Model, Train

ROOT = Path(__file__).parents[2]
GIVEN = {
    "title": "T",
    "questions": ["Q?"],
    "settings": {"mix.unit": "tokens"},
    "configurations": {"A": {"mix.ratio": 0.0}, "B b": {"mix.ratio": 0.5, "mix.unit": "examples"}},
    "seeds": [3, 1],
}


def write_declaration(folder: Path, **changes: object) -> Path:
    (folder / "one.yaml").write_text(yaml.safe_dump({**GIVEN, **changes}))
    return folder


def test_all_configurations_are_run_with_one_seed_before_the_next(tmp_path: Path) -> None:
    runs = read_experiment("one", write_declaration(tmp_path)).list_runs()
    assert [run.name for run in runs] == ["a-seed-3", "b-b-seed-3", "a-seed-1", "b-b-seed-1"]
    assert runs[1].settings == {"mix.unit": "examples", "mix.ratio": 0.5}


def test_runs_are_selected_by_labels_and_seeds(tmp_path: Path) -> None:
    experiment = read_experiment("one", write_declaration(tmp_path))
    assert [run.name for run in experiment.select_runs("B b", "1")] == ["b-b-seed-1"]
    with pytest.raises(InputError, match=r"^--only: .*A, B b.*'C'$"):
        experiment.select_runs("A, C", "")
    with pytest.raises(InputError, match=r"^--seeds: .*3, 1.*'2'$"):
        experiment.select_runs("", "2")


def test_a_label_becomes_a_file_name() -> None:
    assert make_slug("mix.ratio 0.25, LoRA / a") == "mix.ratio-0.25-lora-a"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seeds", []),
        ("seeds", [1, 1]),
        ("seeds", [-1]),
        ("axis", "speed"),
        ("configurations", {}),
        ("configurations", {"A": {}, "a": {}}),
        ("configurations", {"A, B": {}}),
        ("configurations", {"A": {"seed": 1}}),
        ("settings", {"gate.leak": 0.1}),
        ("nothing", 1),
        ("title", 3),
    ],
)
def test_an_invalid_value_is_named_by_file_and_key(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(InputError) as error:
        read_experiment("one", write_declaration(tmp_path, **{key: value}))
    assert str(error.value).startswith(f"{tmp_path / 'one.yaml'}: {key}")


def test_a_missing_or_invalid_file_is_named_in_the_error(tmp_path: Path) -> None:
    write_declaration(tmp_path)
    with pytest.raises(InputError, match=r"two\.yaml: .*: one$"):
        read_experiment("two", tmp_path)
    (tmp_path / "bad.yaml").write_text("title: [\n")
    with pytest.raises(InputError, match=r"bad\.yaml:2: "):
        read_experiment("bad", tmp_path)


@pytest.mark.parametrize("name", ["mams", "methods", "complaints"])
def test_the_projects_experiments_have_valid_settings_and_data(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for run in read_experiment(name, ROOT / FOLDER).list_runs():
        monkeypatch.chdir(ROOT)
        files = make_settings_files(Path(), run, "HEAD")
        for path, values in files.items():
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(yaml.safe_dump(values))
        monkeypatch.chdir(tmp_path)
        sections = [Data, Mix, Model, Train, Infer, Harness, Mmlu, Ifeval, Chat, GeneralLoss]
        data, mix, *_ = (section.load() for section in sections)
        assert isinstance(data, Data) and isinstance(mix, Mix)
        for folder in data.model_dump().values():
            assert (ROOT / "data" / Path(folder).parts[0]).is_dir()
        assert mix.total and round(mix.total * (1 - mix.ratio)) in (500, 1000)  # the same comments in all runs
