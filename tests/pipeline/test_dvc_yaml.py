"""dvc.yaml lists exactly the code that each stage imports and the settings that it loads."""

import ast
import importlib
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from alloy.core.settings import Data, ListSection, Section
from alloy.core.versions import PACKAGES, format_versions, list_used_packages
from projects import copy_code, make_environment
from repositories import make_repository, read_output

ROOT = Path(__file__).parents[2]
STAGES = {
    name: stage.get("do", stage) for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
}
PROFILE = "profiles/${profile}.yaml"
# Sections that a stage only checks, and that do not change its outputs.
CHECKED = {"base": {f"{PROFILE}:train"}}


def find_module_file(name: str) -> Path | None:
    """Return the project's file for a dotted module name, or None for another project's module or a package."""
    path = ROOT / (name.replace(".", "/") + ".py")
    return path if path.is_file() else None


def list_packages(file: Path) -> set[Path]:
    """Return the `__init__.py` files that run when `file` is imported and contain more than a docstring."""
    inits = {folder / "__init__.py" for folder in file.parents if folder != ROOT and folder.is_relative_to(ROOT)}
    return {init for init in inits if init.is_file() and len(ast.parse(init.read_text()).body) > 1}


def find_local_imports(path: Path) -> set[Path]:
    """Return every project file that `path` imports, at any depth and in any function."""
    found: set[Path] = set()
    todo = [path]
    while todo:
        current = todo.pop()
        if current in found:
            continue
        found |= {current, *list_packages(current)}
        for node in ast.walk(ast.parse(current.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".j2"):
                found.add(current.with_name(node.value))
            todo += [file for name in names if (file := find_module_file(name))]
    return found


def find_script(stage: dict) -> Path:
    file = find_module_file(stage["cmd"].split()[2])
    assert file is not None, stage["cmd"]
    return file


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_has_a_description(name):
    assert STAGES[name]["desc"]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_exactly_the_code_that_it_imports(name):
    imported = {file.relative_to(ROOT) for file in find_local_imports(find_script(STAGES[name]))}
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


def test_dvc_yaml_has_at_most_370_lines():
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 370


def test_find_local_imports_includes_imports_inside_functions_and_templates():
    files = {file.name for file in find_local_imports(ROOT / "stages/train.py")}
    assert {"train.py", "run.py", "trainer.py", "optimizer.py", "resume.py"} <= files
    assert "prompt.j2" in {file.name for file in find_local_imports(ROOT / "stages/mix.py")}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_has_the_name_of_its_script(name):
    assert find_script(STAGES[name]).stem == name


def find_sections(folder: Path) -> dict[str, Any]:
    """Return the section classes defined below a folder of the project, by class name; the names must be unique."""
    found: dict[str, Any] = {"Data": Data}
    for file in sorted(folder.rglob("settings.py")):
        module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
        for name, value in vars(module).items():
            if isinstance(value, type) and issubclass(value, Section | ListSection) and hasattr(value, "key"):
                assert found.setdefault(name, value) is value, name
    return found


SECTIONS = find_sections(ROOT / "alloy")


def list_loads(node: ast.AST, aliases: dict[str, str]) -> list[str]:
    """Return the section names and `seed` that a call loads, in order; `aliases` maps `as` names to original names."""
    if not isinstance(node, ast.Call):
        return []
    called = ast.unparse(node.func).split(".")
    owner, function = (aliases.get(word, word) for word in (called[-2:] if len(called) > 1 else ["", *called]))
    if function == "load_sections":
        words = [ast.unparse(word).split(".")[-1] for word in node.args]
        return [aliases.get(word, word) for word in words]
    if function == "load_seed":
        return ["seed"]
    return [owner] if function == "load" and owner in SECTIONS else []


def find_loaded(code: str) -> dict[str, set[str]]:
    """Return the section names and `seed` that `code` loads, each with the keys that `code` reads (`*` for all keys).

    A key is an attribute of the variable that the section is assigned to, or of the call that loads the section.
    """
    tree = ast.parse(code)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    aliases = {alias.asname: alias.name for node in imports for alias in node.names if alias.asname}
    found: dict[str, set[str]] = {name: set() for node in ast.walk(tree) for name in list_loads(node, aliases)}
    variables: dict[str, str] = {}
    called: set[ast.AST] = set()  # calls whose results are accounted for
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for variable, call, name in find_assigned(node, aliases):
                variables[variable] = name
                called.add(call)
        elif isinstance(node, ast.Attribute) and (loaded := list_loads(node.value, aliases)):
            found[loaded[0]].add(node.attr)
            called.add(node.value)
    attributes = {node.value: node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in variables:
            found[variables[node.id]].add(attributes.get(node, "*"))
        elif node not in called:
            for name in list_loads(node, aliases):
                found[name].add("*")
    return found


def find_assigned(node: ast.Assign, aliases: dict[str, str]) -> Iterator[tuple[str, ast.AST, str]]:
    """Yield each variable that a section or `seed` is assigned to, with the call that loads it and its name."""
    target = node.targets[-1]
    targets = target.elts if isinstance(target, ast.Tuple) else [target]
    calls = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
    values = [(call, name) for call in calls for name in list_loads(call, aliases) or [""]]  # "": loads nothing
    if len(node.targets) == 1 and len(targets) == len(values):
        for variable, (call, name) in zip(targets, values, strict=True):
            if name and isinstance(variable, ast.Name):
                yield variable.id, call, name


def find_loaded_keys(code: str, watched: set[str]) -> set[str]:
    """Return the params entries that dvc.yaml must have for `code`.

    If `watched` has single keys of a section, the entries are the keys that `code` reads, otherwise the section.
    """
    split_sections = {entry.partition(".")[0] for entry in watched if "." in entry and not entry.startswith(PROFILE)}
    found = set()
    for name, keys in find_loaded(code).items():
        kind = SECTIONS.get(name)
        if kind is None:
            found.add(name)
        elif kind.in_profile:
            found.add(f"{PROFILE}:{kind.key}")
        elif kind.key in split_sections:
            found |= {f"{kind.key}.{key}" for key in keys}
        elif kind is not Data or kind.key in watched:  # `prepare` has the values of Data in its paths
            found.add(kind.key)
    return found


def list_watched_params(stage: dict) -> set[str]:
    """Return the params that a stage watches; params of other files than params.yaml as `file:key`."""
    found = set()
    for entry in stage.get("params", []):
        if isinstance(entry, str):
            found.add(entry)
        else:
            found |= {f"{file}:{key}" for file, keys in entry.items() for key in keys}
    return found


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_watches_exactly_the_params_it_reads(name):
    watched = {entry for entry in list_watched_params(STAGES[name]) if not entry.startswith("versions.yaml:")}
    assert watched == find_loaded_keys(find_script(STAGES[name]).read_text(), watched) - CHECKED.get(name, set())


def find_imported_packages(path: Path) -> set[str]:
    """Return the pinned packages that a file imports, except in `if TYPE_CHECKING`."""
    tree = ast.parse(path.read_text())
    only_for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names = set()
    for node in ast.walk(tree):
        if node not in only_for_types and isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif node not in only_for_types and isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.partition(".")[0].replace("_", "-") for name in names} & set(PACKAGES)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_watches_the_versions_of_the_packages_that_it_imports(name):
    files = [file for file in find_local_imports(find_script(STAGES[name])) if file.suffix == ".py"]
    packages = {package for file in files for package in find_imported_packages(file)}
    if {"models/tuned", "models/${item.model}"}.intersection(STAGES[name]["deps"]):
        packages |= {"peft"}  # transformers imports it when it loads an adapter
    assert set(list_used_packages(STAGES[name])) == packages


def test_versions_yaml_has_the_versions_of_the_constraints():
    assert (ROOT / "versions.yaml").read_text() == format_versions((ROOT / "constraints.txt").read_text())


@pytest.mark.parametrize("name", [name for name, stage in STAGES.items() if "outs" in stage])
def test_every_stage_that_writes_records_its_environment(name):
    item = "-${item.model}" if "matrix" in STAGES[name] else "-${key}" if name == "prepare" else ""
    assert f"metrics/environment/{name}{item}.json" in STAGES[name]["outs"]


@pytest.mark.parametrize("name", STAGES)
def test_modules_that_a_stage_imports_load_no_settings(name):
    stage = find_script(STAGES[name])
    library = [file for file in find_local_imports(stage) - {stage} if file.suffix == ".py"]
    assert library
    assert {file.relative_to(ROOT): found for file in library if (found := find_loaded(file.read_text()))} == {}


def test_only_stages_and_commands_load_settings():
    files = [file.relative_to(ROOT) for folder in ("alloy", "stages") for file in (ROOT / folder).rglob("*.py")]
    loading = {file for file in files if find_loaded((ROOT / file).read_text())}
    assert {file.parent.as_posix() for file in loading} == {"stages", "alloy/commands", "alloy/evidence", "alloy/sweep"}


def test_sections_are_found_by_their_names():
    keys = {name: (kind.key, kind.in_profile) for name, kind in SECTIONS.items()}
    assert keys["Mix"] == ("mix", False)
    assert keys["Train"] == ("train", True)
    assert keys["GeneralTasks"] == ("general", True)
    assert not {"Section", "ListSection", "Settings", "Lora", "Scratch", "Unit"} & keys.keys()
    assert len({kind.key for kind in SECTIONS.values()}) == len(SECTIONS)


LOADING = """
from alloy.core.settings import load_sections, load_seed as chance
from alloy.mixing.settings import Mix, Rehearse as Again
import alloy.training.settings
def main():
    mix, again, infer = load_sections(Mix, Again, Infer)
    train, seed = alloy.training.settings.Train.load(), chance()
    alpha = Interpolate.load().alpha
    judge(Score.load("small"), mix.general, mix.ratio if again.rows else 0)
    publish(infer, [train.lr for _ in range(seed)], yaml.load(file), Unknown.load())
"""


def test_loaded_sections_are_found_with_the_keys_that_are_read():
    assert find_loaded(LOADING) == {
        "Mix": {"general", "ratio"},
        "Rehearse": {"rows"},
        "Infer": {"*"},
        "Train": {"lr"},
        "seed": {"*"},
        "Interpolate": {"alpha"},
        "Score": {"*"},
    }
    assert find_loaded("def load_seed(): return yaml.load(open('params.yaml')).mix.ratio") == {}


def test_find_loaded_keys_returns_what_dvc_yaml_must_list():
    expected = {f"{PROFILE}:infer", f"{PROFILE}:train", "interpolate", "rehearse", "score", "seed"}
    assert find_loaded_keys(LOADING, set()) == expected | {"mix"}
    assert find_loaded_keys(LOADING + "    Data.load()", {"mix", "seed"}) == expected | {"mix"}
    stage = {"params": ["mix", "rehearse.rows", {PROFILE: ["infer", "train"]}, {"other.yaml": ["infer"]}]}
    assert list_watched_params(stage) == {
        "mix",
        "rehearse.rows",
        f"{PROFILE}:infer",
        f"{PROFILE}:train",
        "other.yaml:infer",
    }
    assert list_watched_params({}) == set()


def test_if_a_key_is_watched_no_other_key_of_its_section_is_read():
    code = "mix, score = load_sections(Mix, Score)\nprint(mix.general, 'params.yaml: mix.ratio', score.head)"
    assert find_loaded_keys(code, {"mix.general", "score"}) == {"mix.general", "score"}
    assert find_loaded_keys(code, {"mix", "score.head"}) == {"mix", "score.head"}
    for more, key in (("mix.ratio", "mix.ratio"), ("f(mix)", "mix.*"), ("Mix.load().unit", "mix.unit")):
        assert find_loaded_keys(f"{code}\n{more}", {"mix.general", "score"}) == {"mix.general", key, "score"}
    assert find_loaded_keys("f(Mix.load())", {"mix.general"}) == {"mix.*"}
    assert find_loaded_keys("f(load_sections(Mix, Score))", {"mix.general", "score"}) == {"mix.*", "score"}


@pytest.mark.parametrize("name", ["mmlu", "ifeval", "general", "chat", "general_loss"])
def test_stages_that_measure_general_ability_do_not_import_labeling(name):
    labeling = Path("alloy/labeling")
    assert [dep for dep in STAGES[name]["deps"] if Path(dep).is_relative_to(labeling)] == []
    assert [
        file for file in find_local_imports(find_script(STAGES[name])) if file.is_relative_to(ROOT / labeling)
    ] == []


def list_item_paths(stage: dict, key: str, item: str) -> Iterator[str]:
    """Yield the deps and outs of a `foreach` stage for one item."""
    for path in (*stage["deps"], *stage["outs"]):
        yield path.replace("${key}", key).replace("${item}", item)


def list_stage_paths(folder: Path) -> Iterator[Path]:
    """Yield every file and folder that the stages of a project read or write."""
    params = yaml.safe_load((folder / "params.yaml").read_text())
    text = (folder / "dvc.yaml").read_text().replace("${profile}", params["profile"])
    for stage in yaml.safe_load(text)["stages"].values():
        if "foreach" in stage:
            assert stage["foreach"] == {key: f"${{data.{key}}}" for key in params["data"]}
            for key, value in params["data"].items():
                yield from (folder / path for path in list_item_paths(stage["do"], key, value))
            continue
        entries = [entry for kind in ("deps", "outs", "metrics", "plots") for entry in stage.get(kind, [])]
        for item in stage.get("matrix", {}).get("model", [""]):
            for entry in entries:
                path = entry if isinstance(entry, str) else next(iter(entry))
                yield folder / path.replace("${item.model}", item)


@pytest.fixture(scope="module")
def up_to_date_project(tmp_path_factory) -> Path:
    """Return a repository with this code and these settings in which DVC reports every stage as up to date.

    All data files that the stages read or write contain only `x`.
    """
    folder = make_repository(tmp_path_factory.mktemp("up_to_date"))
    copy_code(folder)
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    for name in ("dvc.yaml", "params.yaml", "versions.yaml"):
        shutil.copy(ROOT / name, folder)
    for path in sorted(
        list_stage_paths(folder), key=lambda path: -len(path.parts)
    ):  # files before the folders they are in
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
    read_output(folder, "dvc", "commit", "--force", "--quiet")
    return folder


def find_changes(folder: Path) -> dict[str, set[str]]:
    """Return the changed deps and params that `dvc status` reports for each stage; params as `file:key`."""
    found: dict[str, set[str]] = {}
    for stage, changes in json.loads(read_output(folder, "dvc", "status", "--json", **make_environment())).items():
        for dep, change in (pair for group in changes for pair in group.get("changed deps", {}).items()):
            keys = [f"{dep}:{key}" for key in change] if isinstance(change, dict) else [dep]
            found.setdefault(stage, set()).update(keys)
    return found


@pytest.mark.slow
def test_a_new_score_setting_reruns_only_score_compare_report_and_gate(up_to_date_project, tmp_path):
    folder = shutil.copytree(up_to_date_project, tmp_path / "project")
    assert find_changes(folder) == {}
    settings, params = folder / "alloy/scoring/settings.py", folder / "params.yaml"
    for file, line, more in (
        (settings, '    key = "score"\n', "    novel: int = Field(3, ge=1)\n"),
        (params, "score:\n", "  novel: 4\n"),
    ):
        assert file.read_text().count(line) == 1
        file.write_text(file.read_text().replace(line, line + more))
    code = "from alloy.scoring.settings import Score; print(Score.load().novel)"
    assert read_output(folder, sys.executable, "-c", code, PYTHONPATH=str(folder)) == "4\n"
    code_and_params = {"alloy/scoring", "params.yaml:score"}
    scores = {f"score@{model}": code_and_params for model in STAGES["score"]["matrix"]["model"]}
    only_code = {"alloy/scoring"}
    expected = {**scores, "compare": code_and_params, "report": only_code, "gate": only_code}
    assert find_changes(folder) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "stages"),
    [
        ("lm-eval", ["prepare", "mmlu", "ifeval", "general"]),
        ("trl", ["base", "train"]),
        ("vllm", ["rehearse", "infer", "mmlu", "ifeval", "general", "chat"]),
    ],
)
def test_another_version_reruns_the_stages_that_use_the_package(up_to_date_project, tmp_path, package, stages):
    folder = shutil.copytree(up_to_date_project, tmp_path / "project")
    file = folder / "versions.yaml"
    file.write_text(re.sub(rf'^{package}: "', f'{package}: "9.', file.read_text(), flags=re.MULTILINE))
    changed = find_changes(folder)
    assert {stage.partition("@")[0] for stage in changed} == set(stages)
    assert {key for keys in changed.values() for key in keys} == {f"versions.yaml:{package}"}


def test_rehearse_watches_mix_general_and_no_other_key_of_mix():
    watched = list_watched_params(STAGES["rehearse"])
    assert {key for key in watched if key.partition(".")[0] == "mix"} == {"mix.general"}


def test_only_mix_and_train_watch_the_seed():
    assert {name for name, stage in STAGES.items() if "seed" in list_watched_params(stage)} == {"mix", "train"}


def test_the_base_and_the_tuned_model_have_the_same_stages_and_score_also_has_the_svm():
    for name in ("infer", "mmlu", "ifeval", "general", "chat"):
        assert STAGES[name]["matrix"] == {"model": ["base", "tuned"]}
    assert STAGES["score"]["matrix"] == {"model": ["base", "tuned", "svm"]}


def test_the_stages_have_the_order_of_the_readme():
    preparing = ["prepare", "base", "split", "decontaminate", "rehearse", "mix", "train", "interpolate", "infer", "svm"]
    measuring = ["score", "mmlu", "ifeval", "general", "chat", "general_loss"]
    assert list(STAGES) == [*preparing, *measuring, "compare", "report", "gate"]


def test_train_watches_the_files_that_deepspeed_reads():
    assert "profiles/deepspeed" in STAGES["train"]["deps"]


def test_no_stage_script_has_more_than_150_lines():
    for stage in STAGES.values():
        assert len(find_script(stage).read_text().splitlines()) <= 150
