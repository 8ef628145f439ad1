"""Check the base model as the stage `base` does, without loading or fetching weights."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from alloy.commands.check_state import Inputs
from alloy.core.files import InputError
from alloy.inference.settings import EngineName, Infer
from alloy.mixing.settings import Mix, Unit
from alloy.training.settings import Model, Train


def check_model(inputs: Inputs) -> None:
    """Check the base model as the stage `base` does, and that the engines of this machine can run it."""
    from alloy.modeling.model_folder import HubUnreachableError, is_cached
    from alloy.modeling.wheel import is_downloaded
    from alloy.training.check_model import check_scratch

    model, train, infer = inputs.settings[Model], inputs.settings[Train], inputs.settings[Infer]
    if model.scratch:
        inputs.summary.model = "a new model, trained from scratch"
        check_scratch(model.scratch, train)
        return
    if model.hosted:
        inputs.summary.model = f"{model.hosted}, hosted, not trained"
        if infer.engine in (EngineName.transformers, EngineName.vllm):
            raise InputError(
                f"infer.engine: expected openai or bedrock, got {infer.engine.value}; {model.hosted} is hosted and has "
                "no weights on this machine"
            )
        if (unit := inputs.settings[Mix].unit) is not Unit.examples:
            raise InputError(
                f"params.yaml: mix.unit: expected examples, got {unit.value}; {model.hosted} is hosted, so its tokens "
                "cannot be counted"
            )
        return
    unchecked = "context, layers, chat template, tokens and cost were not checked"
    if model.wheel and not is_downloaded(model.wheel):
        inputs.summary.model = f"{model.wheel.file.rpartition('/')[2]} of {model.wheel.package}"
        inputs.warn(f"model.wheel: not downloaded yet (run `dvc repro base`): {unchecked}")
    elif model.hub and model.revision and not is_cached(model.hub, model.revision):
        inputs.summary.model = model.hub
        try:
            check_hub_model(inputs, model.hub, model.revision)
        except HubUnreachableError:
            inputs.warn(f"model.hub: {model.hub}: not in the cache, and the hub is unreachable: {unchecked}")
    else:
        check_files(inputs)


def check_files(inputs: Inputs) -> None:
    """Check the files of a model that is on this machine."""
    from alloy.modeling.find_model import find_model, require_hash
    from alloy.modeling.gguf_file import read_tokenizer
    from alloy.modeling.model_folder import load_tokenizer

    model = inputs.settings[Model]
    inputs.summary.model = str(model.hub or model.path or model.gguf or (model.wheel and model.wheel.file))
    with find_model(model, partial(check_config, inputs)) as (found, location):
        if model.sha256:
            require_hash(model, found, location)
        inputs.tokenizer = load_tokenizer(found) if found.is_dir() else read_tokenizer(found, location)


def check_hub_model(inputs: Inputs, repository: str, revision: str) -> None:
    """Check a hub model that is not in the cache: everything but the content of its weights."""
    from alloy.modeling.architecture import load_config
    from alloy.modeling.check_folder import check_config_and_tokenizer, require_safetensors
    from alloy.modeling.model_folder import download_config_and_tokenizer, list_hub_files, load_tokenizer

    location = f"model.hub: {repository}"
    require_safetensors(list_hub_files(repository, revision), location)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        download_config_and_tokenizer(repository, revision, folder)
        try:
            check_config_and_tokenizer(folder, location)
        except InputError as error:
            raise InputError(str(error).replace(name, location)) from None
        check_config(inputs, load_config(folder))
        inputs.tokenizer = load_tokenizer(folder)
    inputs.warn(f"{location}: the weights are not downloaded yet (run `dvc repro base`): not checked")


def check_config(inputs: Inputs, config: Any) -> None:  # noqa: ANN401 (of the model's own class)
    """Check that a model of this configuration fits the settings of training and inference."""
    from alloy.inference.prefix_attention import require_full_attention
    from alloy.training import check_model as training

    train = inputs.settings[Train]
    training.check_model(config, train)
    if inputs.settings[Infer].engine is EngineName.transformers:
        require_full_attention(config)
    inputs.settings[Train], unpacked = training.resolve_packing(config, train)
    if unpacked:
        inputs.warn(unpacked)
    inputs.config = config
