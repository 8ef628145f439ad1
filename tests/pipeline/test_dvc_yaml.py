"""dvc.yaml says the truth: what a stage imports and which params it reads are what DVC watches."""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PIPELINES = [ROOT / "dvc.yaml", *sorted(ROOT.glob("data/*/dvc.yaml"))]
STAGES = {
    f"{pipeline.parent.relative_to(ROOT)}:{name}": stage
    for pipeline in PIPELINES
    for name, stage in yaml.safe_load(pipeline.read_text())["stages"].items()
}
MAIN = {name.removeprefix(".:"): stage for name, stage in STAGES.items() if name.startswith(".:")}


def module_file(name: str) -> Path | None:
    """Return the project's file for a dotted module name, or None for a foreign one or a package."""
    path = ROOT / (name.replace(".", "/") + ".py")
    return path if path.is_file() else None


def packages_of(file: Path) -> set[Path]:
    """Return the `__init__.py` files that importing `file` runs too, of those that hold more than a docstring."""
    inits = {folder / "__init__.py" for folder in file.parents if folder != ROOT and folder.is_relative_to(ROOT)}
    return {init for init in inits if init.is_file() and len(ast.parse(init.read_text()).body) > 1}


def local_imports(path: Path) -> set[Path]:
    """Return every project file that `path` imports, at any depth and in any function."""
    found: set[Path] = set()
    todo = [path]
    while todo:
        current = todo.pop()
        if current in found:
            continue
        found |= {current, *packages_of(current)}
        for node in ast.walk(ast.parse(current.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".j2"):
                found.add(current.with_name(node.value))
            todo += [file for name in names if (file := module_file(name))]
    return found


def script(stage: dict) -> Path:
    file = module_file(stage["cmd"].split()[2])
    assert file is not None, stage["cmd"]
    return file


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_says_what_it_does(name):
    assert STAGES[name]["desc"]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_all_that_it_imports_and_on_no_other_code(name):
    imported = {file.relative_to(ROOT) for file in local_imports(script(STAGES[name]))}
    listed = {Path(dep) for dep in STAGES[name]["deps"] if dep.startswith("alloy") or dep.endswith((".py", ".j2"))}
    assert {file for file in imported if not listed & {file, *file.parents}} == set()
    assert {dep for dep in listed if not any(dep in (file, *file.parents) for file in imported)} == set()


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_lists_whole_folders_of_the_library_and_single_files_of_formats(name):
    code = [Path(dep) for dep in STAGES[name]["deps"] if dep.startswith("alloy")]
    assert code
    for dep in code:
        assert (ROOT / dep).exists()
        assert len(dep.parts) == (3 if dep.parts[1] == "formats" else 2), dep


def test_dvc_yaml_can_be_read_in_one_go():
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 370


def test_the_walk_sees_an_import_inside_a_function_and_a_template():
    files = {file.name for file in local_imports(ROOT / "stages/train.py")}
    assert {"train.py", "run.py", "trainer.py", "optimizer.py", "resume.py"} <= files
    assert "prompt.j2" in {file.name for file in local_imports(ROOT / "stages/mix.py")}


@pytest.mark.parametrize("name", MAIN)
def test_a_stage_is_named_as_its_script(name):
    assert script(MAIN[name]).stem == name


def watched_and_not_read(watched: set[str], code: str) -> set[str]:
    """Return the params of the experiment that are watched or read in `code`, but not both.

    A stage watches a section, or keys of it by name, such as `mix.general`; it then reads no other key of that section.
    """
    read = set(re.findall(r"\bparams\.(\w+(?:\.\w+)?)", code))
    named = {entry.partition(".")[0] for entry in watched if "." in entry}
    used = {key if key.partition(".")[0] in named else key.partition(".")[0] for key in read}
    return (used - {"data", "profile", "yaml"}) ^ watched


@pytest.mark.parametrize("name", MAIN)
def test_a_stage_watches_exactly_the_params_it_reads(name):
    code = script(MAIN[name]).read_text()
    scale = set(re.findall(r"(?:load_profile\([\w.]+\)|\bprofile)\.(\w+)", code))
    watched = MAIN[name].get("params", [])
    assert watched_and_not_read({entry for entry in watched if isinstance(entry, str)}, code) == set()
    assert {key for entry in watched if isinstance(entry, dict) for keys in entry.values() for key in keys} == scale


def test_a_key_that_is_watched_by_name_is_the_only_one_read_of_its_section():
    code = "f(params.mix.general, params.seed, params.prompt.labels, 'params.yaml: mix.ratio')"
    assert watched_and_not_read({"mix.general", "prompt", "seed"}, code) == set()
    assert watched_and_not_read({"mix", "prompt", "seed"}, code) == set()
    assert watched_and_not_read({"mix.general", "mix.unit", "prompt", "seed"}, code) == {"mix.unit"}
    assert watched_and_not_read({"mix.general", "prompt"}, code) == {"seed"}
    for more in ("params.mix.ratio", "params.mix"):
        assert watched_and_not_read({"mix.general", "prompt", "seed"}, f"{code}; {more}") == {more[7:]}


def test_a_new_ratio_does_not_ask_the_base_model_again():
    watched = MAIN["rehearse"]["params"]
    assert "mix.general" in watched
    assert "mix" not in watched


def test_models_are_asked_alike_and_the_rival_is_scored_with_them():
    for name in ("infer", "mmlu", "ifeval", "general"):
        assert MAIN[name]["matrix"] == {"model": ["base", "tuned"]}
    assert MAIN["score"]["matrix"] == {"model": ["base", "tuned", "svm"]}


def test_the_stages_are_those_of_the_readme_in_their_order():
    making = ["base", "split", "decontaminate", "rehearse", "mix", "train", "interpolate", "infer", "svm"]
    assert list(MAIN) == [*making, "score", "mmlu", "ifeval", "general", "compare", "report"]


def test_train_watches_the_files_that_deepspeed_reads():
    assert "profiles/deepspeed" in MAIN["train"]["deps"]


def test_no_stage_script_grows_over_150_lines():
    for stage in STAGES.values():
        assert len(script(stage).read_text().splitlines()) <= 150 or "demo" in str(script(stage))
