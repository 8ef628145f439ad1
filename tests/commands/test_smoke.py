"""The smallest run has the settings of the project, the demo's data, and no gate."""

from pathlib import Path

import pytest
import yaml

from alloy.commands.smoke import main, make_smallest_params
from alloy.comparison.settings import Gate
from alloy.core.files import InputError
from alloy.core.settings import Data, load_profile_name, load_seed
from alloy.mixing.settings import Mix
from alloy.splitting.settings import Split

PARAMS = {
    "profile": "large",
    "seed": 7,
    "data": {"comments": "mine"},
    "split": {"test": 0.4},
    "mix": {"ratio": 0.25, "sources": {"theirs": 1}, "budget": "total", "total": 9, "unit": "tokens"},
    "gate": {"mmlu": {"acc": 0.01}},
}


def test_the_smallest_run_keeps_settings_except_data_and_gate(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(make_smallest_params(PARAMS)))
    assert (load_profile_name(tmp_path), load_seed(tmp_path), Split.load(root=tmp_path).test) == ("smoke", 7, 0.4)
    mix = Mix.load(root=tmp_path)
    assert (mix.ratio, mix.unit.value, mix.sources, mix.total) == (0.25, "tokens", {}, None)
    assert Data.load(root=tmp_path) == Data()
    assert Gate.load(root=tmp_path).get_limits() == {}


def test_empty_params_get_the_settings_of_the_smallest_run(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(make_smallest_params({})))
    assert (load_profile_name(tmp_path), Mix.load(root=tmp_path)) == ("smoke", Mix())


@pytest.mark.parametrize("folder", ["mine", ".", "mine/file"])
def test_a_folder_that_smoke_did_not_create_is_never_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mine/file").write_text("kept")
    with pytest.raises(InputError, match=r"^--folder: "):
        main(Path(folder))
    assert Path("mine/file").read_text() == "kept"
