"""Estimate what training a profile costs: memory, FLOPs, GPU hours.

Run     alloy cost <profile> [processes] [config.json]

The model's configuration is the given file. Without one, it comes from the hub, from the folder `model.path`, or else
from models/base.
"""

import sys
from pathlib import Path

from alloy.core.files import InputError, require_file
from alloy.core.settings import load_profile_name
from alloy.modeling.architecture import load_config
from alloy.training.check_model import resolve_packing
from alloy.training.cost import (
    COMPLETION_SHARE,
    EXAMPLE_TOKENS,
    MFU,
    count_parameters,
    count_training_flops,
    estimate_gpu_hours,
    estimate_memory,
    format_memory,
)
from alloy.training.settings import Model, Train


def main(profile: str, processes: int, file: Path | None) -> None:
    """Print what training a profile costs."""
    if file:
        require_file(file, "expected the config.json of a model")
    model, train = Model.load(profile), Train.load(profile)
    source = str(file) if file else model.hub or model.path or "models/base"
    if source == "models/base" and (profile != load_profile_name() or not Path(source, "config.json").is_file()):
        raise InputError(
            f"profiles/{profile}.yaml: the model has no configuration yet; run `dvc repro base` with "
            f"`profile: {profile}` in params.yaml, or pass the path of a config.json"
        )
    try:
        config = load_config(source, model.revision)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:  # the last four: a file that is not a model's configuration
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(f"{source}: not a model's configuration: {reason}; give the model's config.json") from None
    train, warning = resolve_packing(config, train)
    if warning:
        print(warning, file=sys.stderr)
    print(format_memory(estimate_memory(config, train, processes, 1, train.gpu), None))
    size = count_parameters(config)
    print(
        f"{size.total:,} parameters; each token uses {size.body_active:,} in the layers and {size.head:,} in the "
        "output layer"
    )
    flops = count_training_flops(config, 1e6, 1e6 * EXAMPLE_TOKENS, 1e6 * COMPLETION_SHARE, train.method)
    hours = estimate_gpu_hours(flops)
    print(f"one million tokens: {flops:.3g} FLOPs, {hours:.2g} GPU hours of an H100 at an assumed MFU of {MFU:.0%}")
