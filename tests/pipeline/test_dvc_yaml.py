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
MAIN = {
    name: stage.get("do", stage) for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
}
PROFILE = "profiles/${profile}.yaml"
# Sections that a stage only checks, and that do not change its outputs.
CHECKED = {"base": {f"{PROFILE}:train"}}


def module_file(name: str) -> Path | None:
    """Return the project's file for a dotted module name, or None for another project's module or a package."""
    path = ROOT / (name.replace(".", "/") + ".py")
    return path if path.is_file() else None


def list_packages(file: Path) -> set[Path]:
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
        found |= {current, *list_packages(current)}
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


def find_script(stage: dict) -> Path:
    file = module_file(stage["cmd"].split()[2])
    assert file is not None, stage["cmd"]
    return file


@pytest.mark.parametrize("name", MAIN)
def test_every_stage_has_a_description(name):
    assert MAIN[name]["desc"]


@pytest.mark.parametrize("name", MAIN)
def test_a_stage_depends_on_exactly_the_code_that_it_imports(name):
    imported = {file.relative_to(ROOT) for file in local_imports(find_script(MAIN[name]))}
    listed = {Path(dep) for dep in MAIN[name]["deps"] if dep.startswith("alloy") or dep.endswith((".py", ".j2"))}
    assert {file for file in imported if not listed & {file, *file.parents}} == set()
    assert {dep for dep in listed if not any(dep in (file, *file.parents) for file in imported)} == set()


@pytest.mark.parametrize("name", MAIN)
def test_a_stage_lists_whole_folders_of_the_library_and_single_files_of_formats(name):
    code = [Path(dep) for dep in MAIN[name]["deps"] if dep.startswith("alloy")]
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
def test_a_stage_has_the_name_of_its_script(name):
    assert find_script(MAIN[name]).stem == name


def sections_in(folder: Path) -> dict[str, Any]:
    """Return the classes of all sections below a folder of the project by their names, which must differ."""
    found: dict[str, Any] = {"Data": Data}
    for file in sorted(folder.rglob("settings.py")):
        module = importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
        for name, one in vars(module).items():
            if isinstance(one, type) and issubclass(one, Section | ListSection) and hasattr(one, "key"):
                assert found.setdefault(name, one) is one, name
    return found


SECTIONS = sections_in(ROOT / "alloy")


def list_loads(node: ast.AST, names: dict[str, str]) -> list[str]:
    """Return what a call loads, in order: names of sections, `seed`; `names` are those that imports have changed."""
    if not isinstance(node, ast.Call):
        return []
    called = ast.unparse(node.func).split(".")
    owner, function = (names.get(word, word) for word in (called[-2:] if len(called) > 1 else ["", *called]))
    if function == "load_sections":
        words = [ast.unparse(word).split(".")[-1] for word in node.args]
        return [names.get(word, word) for word in words]
    if function == "load_seed":
        return ["seed"]
    return [owner] if function == "load" and owner in SECTIONS else []


def find_loaded(code: str) -> dict[str, set[str]]:
    """Return what `code` loads: names of sections, `seed`; each with the keys of it that are read, `*` for all of them.

    A key is read of the variable that a section was assigned to, or of the call that loads it.
    """
    tree = ast.parse(code)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {alias.asname: alias.name for node in imports for alias in node.names if alias.asname}
    found: dict[str, set[str]] = {one: set() for node in ast.walk(tree) for one in list_loads(node, names)}
    variables: dict[str, str] = {}
    called: set[ast.AST] = set()  # calls whose results are accounted for
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for variable, call, one in find_assigned(node, names):
                variables[variable] = one
                called.add(call)
        elif isinstance(node, ast.Attribute) and (one := list_loads(node.value, names)):
            found[one[0]].add(node.attr)
            called.add(node.value)
    attributes = {node.value: node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in variables:
            found[variables[node.id]].add(attributes.get(node, "*"))
        elif node not in called:
            for one in list_loads(node, names):
                found[one].add("*")
    return found


def find_assigned(node: ast.Assign, names: dict[str, str]) -> Iterator[tuple[str, ast.AST, str]]:
    """Yield each variable that a loaded value is assigned to, with the call and the value's kind."""
    target = node.targets[-1]
    targets = target.elts if isinstance(target, ast.Tuple) else [target]
    calls = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
    gained = [(call, one) for call in calls for one in list_loads(call, names) or [""]]
    if len(node.targets) == 1 and len(targets) == len(gained):
        for variable, (call, one) in zip(targets, gained, strict=True):
            if one and isinstance(variable, ast.Name):
                yield variable.id, call, one


def find_loaded_keys(code: str, watched: set[str]) -> set[str]:
    """Return what `code` loads as dvc.yaml lists it; of a section that is watched by named keys, the keys it reads."""
    named = {entry.partition(".")[0] for entry in watched if "." in entry and not entry.startswith(PROFILE)}
    found = set()
    for name, keys in find_loaded(code).items():
        kind = SECTIONS.get(name)
        if kind is None:
            found.add(name)
        elif kind.in_profile:
            found.add(f"{PROFILE}:{kind.key}")
        elif kind.key in named:
            found |= {f"{kind.key}.{key}" for key in keys}
        elif kind is not Data or kind.key in watched:  # `prepare` has the values of Data in its paths
            found.add(kind.key)
    return found


def watched_by(stage: dict) -> set[str]:
    """Return the params that a stage watches, those of its profile with the file's name before them."""
    found = set()
    for entry in stage.get("params", []):
        if isinstance(entry, str):
            found.add(entry)
        else:
            found |= {f"{file}:{key}" for file, keys in entry.items() for key in keys}
    return found


@pytest.mark.parametrize("name", MAIN)
def test_a_stage_watches_exactly_the_params_it_reads(name):
    watched = {entry for entry in watched_by(MAIN[name]) if not entry.startswith("versions.yaml:")}
    assert watched == find_loaded_keys(find_script(MAIN[name]).read_text(), watched) - CHECKED.get(name, set())


def packages_imported(path: Path) -> set[str]:
    """Return the pinned packages that a file imports, at any depth and in any function, but for types alone."""
    tree = ast.parse(path.read_text())
    typing = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names = set()
    for node in ast.walk(tree):
        if node not in typing and isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
        elif node not in typing and isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.partition(".")[0].replace("_", "-") for name in names} & set(PACKAGES)


@pytest.mark.parametrize("name", MAIN)
def test_a_stage_watches_the_versions_of_the_packages_that_it_imports(name):
    files = [file for file in local_imports(find_script(MAIN[name])) if file.suffix == ".py"]
    assert set(list_used_packages(MAIN[name])) == {package for file in files for package in packages_imported(file)}


def test_versions_yaml_has_the_versions_of_the_constraints():
    assert (ROOT / "versions.yaml").read_text() == format_versions((ROOT / "constraints.txt").read_text())


@pytest.mark.parametrize("name", [name for name, stage in MAIN.items() if "outs" in stage])
def test_every_stage_that_writes_records_its_environment(name):
    item = "-${item.model}" if "matrix" in MAIN[name] else "-${key}" if name == "prepare" else ""
    assert f"metrics/environment/{name}{item}.json" in MAIN[name]["outs"]


@pytest.mark.parametrize("name", MAIN)
def test_modules_that_a_stage_imports_load_no_settings(name):
    stage = find_script(MAIN[name])
    library = [file for file in local_imports(stage) - {stage} if file.suffix == ".py"]
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


def test_dvc_yaml_must_list_what_is_loaded():
    found = {f"{PROFILE}:infer", f"{PROFILE}:train", "interpolate", "rehearse", "score", "seed"}
    assert find_loaded_keys(LOADING, set()) == found | {"mix"}
    assert find_loaded_keys(LOADING + "    Data.load()", {"mix", "seed"}) == found | {"mix"}
    stage = {"params": ["mix", "rehearse.rows", {PROFILE: ["infer", "train"]}, {"other.yaml": ["infer"]}]}
    assert watched_by(stage) == {"mix", "rehearse.rows", f"{PROFILE}:infer", f"{PROFILE}:train", "other.yaml:infer"}
    assert watched_by({}) == set()


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
    assert [dep for dep in MAIN[name]["deps"] if Path(dep).is_relative_to(labeling)] == []
    assert [file for file in local_imports(find_script(MAIN[name])) if file.is_relative_to(ROOT / labeling)] == []


def stage_items(stage: dict, key: str, item: str) -> Iterator[str]:
    """Yield the paths of one item of a stage that is written once for several."""
    for path in (*stage["deps"], *stage["outs"]):
        yield path.replace("${key}", key).replace("${item}", item)


def stage_paths(folder: Path) -> Iterator[Path]:
    """Yield every file and folder that the stages of a project read or write."""
    params = yaml.safe_load((folder / "params.yaml").read_text())
    text = (folder / "dvc.yaml").read_text().replace("${profile}", params["profile"])
    for stage in yaml.safe_load(text)["stages"].values():
        if "foreach" in stage:
            assert stage["foreach"] == "${data}"
            for key, value in params["data"].items():
                yield from (folder / path for path in stage_items(stage["do"], key, value))
            continue
        entries = [one for kind in ("deps", "outs", "metrics", "plots") for one in stage.get(kind, [])]
        for item in stage.get("matrix", {}).get("model", [""]):
            for entry in entries:
                path = entry if isinstance(entry, str) else next(iter(entry))
                yield folder / path.replace("${item.model}", item)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """Return a repository of this code and these settings where DVC finds every stage up to date.

    What the stages read and write beside code is a word in a file.
    """
    folder = make_repository(tmp_path_factory.mktemp("done"))
    copy_code(folder)
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    for name in ("dvc.yaml", "params.yaml", "versions.yaml"):
        shutil.copy(ROOT / name, folder)
    for path in sorted(stage_paths(folder), key=lambda path: -len(path.parts)):  # files before the folders they are in
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x")
    read_output(folder, "dvc", "commit", "--force", "--quiet")
    return folder


def out_of_date(folder: Path) -> dict[str, set[str]]:
    """Return what DVC finds changed in the deps and params of each stage, params as file and key."""
    found: dict[str, set[str]] = {}
    for stage, changes in json.loads(read_output(folder, "dvc", "status", "--json", **make_environment())).items():
        for dep, change in (pair for one in changes for pair in one.get("changed deps", {}).items()):
            keys = [f"{dep}:{key}" for key in change] if isinstance(change, dict) else [dep]
            found.setdefault(stage, set()).update(keys)
    return found


@pytest.mark.slow
def test_a_new_score_setting_repeats_only_scores_comparison_and_report(done, tmp_path):
    folder = shutil.copytree(done, tmp_path / "project")
    assert out_of_date(folder) == {}
    settings, params = folder / "alloy/scoring/settings.py", folder / "params.yaml"
    for file, line, more in (
        (settings, '    key = "score"\n', "    novel: int = Field(3, ge=1)\n"),
        (params, "score:\n", "  novel: 4\n"),
    ):
        assert file.read_text().count(line) == 1
        file.write_text(file.read_text().replace(line, line + more))
    ask = "from alloy.scoring.settings import Score; print(Score.load().novel)"
    assert read_output(folder, sys.executable, "-c", ask, PYTHONPATH=str(folder)) == "4\n"
    both = {"alloy/scoring", "params.yaml:score"}
    scores = {f"score@{model}": both for model in MAIN["score"]["matrix"]["model"]}
    assert out_of_date(folder) == {**scores, "compare": both, "report": {"alloy/scoring"}, "gate": {"alloy/scoring"}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "stages"),
    [
        ("lm-eval", ["prepare", "mmlu", "ifeval", "general"]),
        ("trl", ["base", "train"]),
        ("vllm", ["rehearse", "infer", "mmlu", "ifeval", "general", "chat"]),
    ],
)
def test_another_version_repeats_the_stages_that_use_the_package(done, tmp_path, package, stages):
    folder = shutil.copytree(done, tmp_path / "project")
    file = folder / "versions.yaml"
    file.write_text(re.sub(rf'^{package}: "', f'{package}: "9.', file.read_text(), flags=re.MULTILINE))
    changed = out_of_date(folder)
    assert {stage.partition("@")[0] for stage in changed} == set(stages)
    assert {key for keys in changed.values() for key in keys} == {f"versions.yaml:{package}"}


def test_a_new_ratio_does_not_repeat_measurements_of_base():
    watched = MAIN["rehearse"]["params"]
    assert "mix.general" in watched
    assert "mix" not in watched


def test_another_seed_repeats_the_mix_and_the_training_and_keeps_the_base():
    assert {name for name, stage in MAIN.items() if "seed" in watched_by(stage)} == {"mix", "train"}


def test_all_models_have_the_same_stages_and_the_svm_is_scored_with_them():
    for name in ("infer", "mmlu", "ifeval", "general", "chat"):
        assert MAIN[name]["matrix"] == {"model": ["base", "tuned"]}
    assert MAIN["score"]["matrix"] == {"model": ["base", "tuned", "svm"]}


def test_the_stages_have_the_order_of_the_readme():
    making = ["prepare", "base", "split", "decontaminate", "rehearse", "mix", "train", "interpolate", "infer", "svm"]
    measures = ["score", "mmlu", "ifeval", "general", "chat", "general_loss"]
    assert list(MAIN) == [*making, *measures, "compare", "report", "gate"]


def test_train_watches_the_files_that_deepspeed_reads():
    assert "profiles/deepspeed" in MAIN["train"]["deps"]


def test_no_stage_script_has_more_than_150_lines():
    for stage in MAIN.values():
        assert len(find_script(stage).read_text().splitlines()) <= 150
