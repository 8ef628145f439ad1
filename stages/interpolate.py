"""Interpolate the trained model with the base model to reduce forgetting: base + alpha * (trained - base).

WiSE-FT (Wortsman et al., 2022, "Robust fine-tuning of zero-shot models"). Nothing is trained again, so a sweep over
`interpolate.alpha` costs only its evaluations.

Reads   models/base, models/trained
Writes  models/tuned
Run     dvc repro interpolate
"""

import shutil
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, make_temporary_path, remove_path, remove_temporary_files
from alloy.core.stage import run
from alloy.modeling.architecture import get_text_config
from alloy.modeling.check_folder import check_tensors, read_index
from alloy.modeling.model_folder import load_model_config, read_hosted_name, resolve_weights
from alloy.modeling.settings import Interpolate
from alloy.runtime.resume import remove_finished_work

if TYPE_CHECKING:
    from torch import Tensor

BASE, TRAINED, OUT = Path("models/base"), Path("models/trained"), Path("models/tuned")
WEIGHTS, ADAPTER = "model.safetensors", "adapter_model.safetensors"
# A model with tied embeddings has one tensor with two names; its files have one or both names.
TIED = (("lm_head.weight", "embed_tokens.weight"), ("embed_tokens.weight", "lm_head.weight"))
MISMATCH = "base and trained have different architectures; run `dvc repro`"

Weights = dict[str, tuple[Path, Any]]  # tensor name -> its path and its open file


def blend_tensors(base: "Tensor", trained: "Tensor", alpha: float) -> "Tensor":
    """Return base + alpha * (trained - base), computed in float32, in the dtype of `trained`; integers as trained."""
    if not trained.is_floating_point():
        return trained
    start = base.float()
    return (trained.float() - start).mul_(alpha).add_(start).to(trained.dtype)


def scale_adapter(name: str, tensor: "Tensor", alpha: float) -> "Tensor":
    """Return an adapter's tensor, scaled so that the adapter's update is multiplied by `alpha`.

    The update is linear in B. So scaling B is enough, whatever ranks and scales adapter_config.json has.
    """
    if ".lora_B." in name:
        return (tensor.float() * alpha).to(tensor.dtype)
    if ".lora_A." in name:
        return tensor
    problem = "interpolate.alpha can only scale lora_A and lora_B; train without this module"
    raise InputError(f"{TRAINED / ADAPTER}: {name}: {problem}")


def open_weights(folder: Path, stack: ExitStack) -> Weights:
    """Return all tensors of a folder, file by file; the files are memory-mapped, and open until `stack` is closed."""
    from safetensors import SafetensorError, safe_open

    single = ADAPTER if (folder / ADAPTER).is_file() else WEIGHTS
    weights = {}
    for file in (folder / name for name in sorted(read_index(folder, str(folder))) or [single]):
        try:
            shard = stack.enter_context(safe_open(file, framework="pt"))
        except (SafetensorError, OSError) as error:
            raise InputError(f"{file}: not a complete safetensors file ({error}); replace it") from None
        weights |= dict.fromkeys(shard.offset_keys(), (file, shard))
    return weights


def find_base_tensor(name: str, trained: "Tensor", base: Weights) -> "Tensor":
    """Return the base model's tensor of this name, or of the name tied to it; the shape must be as in `trained`."""
    tied = (other for other in base for a, b in TIED if name.endswith(a) and other.endswith(b))
    base_name = name if name in base else next(tied, None)
    if base_name is None:
        raise InputError(f"{BASE}: no tensor {name}, although {TRAINED} has one; {MISMATCH}")
    file, base_tensor = base[base_name][0], base[base_name][1].get_tensor(base_name)
    shape, expected = list(base_tensor.shape), list(trained.shape)
    if shape != expected:
        raise InputError(f"{file}: {base_name}: expected shape {expected} as in {TRAINED}, got {shape}; {MISMATCH}")
    return base_tensor


def open_base(stack: ExitStack) -> Weights:
    """Return the base model's weights, after checking that both models have the same number of layers.

    Tensors that only the base model has are ignored, such as buffers and draft heads, which are not loaded.
    """
    folder = Path(resolve_weights(BASE, verify=True))
    check_tensors(TRAINED, str(TRAINED), "`dvc repro train` makes the folder again")
    depth, trained_depth = (get_text_config(load_model_config(path)).num_hidden_layers for path in (BASE, TRAINED))
    if depth != trained_depth:
        raise InputError(f"{folder}/config.json: expected {trained_depth} layers as trained, got {depth}; {MISMATCH}")
    return open_weights(folder, stack)


def write_weights(out: Path, alpha: float) -> int:
    """Write the interpolated weights to `out`, with one file in memory at a time; return the number of tensors."""
    from safetensors.torch import save_file
    from tqdm import tqdm

    with ExitStack() as stack:
        trained = open_weights(TRAINED, stack)
        base = None if (TRAINED / ADAPTER).is_file() else open_base(stack)
        progress = stack.enter_context(tqdm(total=len(trained), desc="interpolate", unit="tensor", disable=None))
        for (file, shard), names in groupby(trained, key=trained.__getitem__):
            tensors = {}
            for name in names:
                tensor = shard.get_tensor(name)
                if base is None:
                    tensors[name] = scale_adapter(name, tensor, alpha)
                else:
                    tensors[name] = blend_tensors(find_base_tensor(name, tensor, base), tensor, alpha)
                progress.update()
            save_file(tensors, out / file.name, metadata=shard.metadata())
        return len(trained)


def main() -> None:
    """Copy or interpolate the model into a temporary folder, then rename it."""
    alpha = 1.0 if read_hosted_name(TRAINED) else Interpolate.load().alpha
    remove_finished_work()  # the work folder of `train` is no longer needed: DVC has the trained model
    if not TRAINED.is_dir():
        raise InputError(f"{TRAINED}: no such folder; run `dvc repro` to train the model")
    remove_path(OUT)
    remove_temporary_files(OUT)
    needed = sum(file.stat().st_size for file in TRAINED.rglob("*"))
    if needed > (free := shutil.disk_usage(OUT.parent).free):
        raise InputError(f"{OUT}: needs {needed / 1e9:.2f} GB of disk space, got {free / 1e9:.2f} GB; free disk space")
    part = make_temporary_path(OUT)
    ignored = shutil.ignore_patterns("*.safetensors") if alpha < 1 else None
    try:
        # No links: writing through one would corrupt DVC's cache. `copyfile`: the originals may be write-protected.
        shutil.copytree(TRAINED, part, ignore=ignored, copy_function=shutil.copyfile)
        description = "the trained model unchanged"
        if alpha < 1:
            description = f"{write_weights(part, alpha)} tensors"
            if (card := part / "README.md").is_file():
                note = f"\nInterpolated with the base model: alpha {alpha:g} (Wortsman et al., 2022).\n"
                card.write_text(f"{card.read_text(encoding='utf-8').rstrip()}\n{note}", encoding="utf-8")
        part.rename(OUT)
    finally:
        remove_path(part)
    print(f"interpolate: alpha {alpha:g}, {description}")


if __name__ == "__main__":
    run(main)
