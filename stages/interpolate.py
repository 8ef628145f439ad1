"""Draw the trained model back towards the base, against forgetting: base + alpha * (trained - base).

WiSE-FT (Wortsman et al., 2022, "Robust fine-tuning of zero-shot models"). Nothing is trained again, so that a sweep
over `interpolate.alpha` costs only its measurements.

Reads   models/base, models/trained
Writes  models/tuned
Run     dvc repro interpolate
"""

import shutil
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.core.files import InputError, read_json, remove_path, remove_temporary_files, temporary_path
from alloy.core.stage import run
from alloy.modeling.architecture import load_config, text_config
from alloy.modeling.model_folder import read_hosted_name, resolve_weights
from alloy.modeling.settings import Interpolate
from alloy.runtime.resume import remove_finished_work

if TYPE_CHECKING:
    from torch import Tensor

BASE, TRAINED, OUT = Path("models/base"), Path("models/trained"), Path("models/tuned")
INDEX, WEIGHTS, ADAPTER = "model.safetensors.index.json", "model.safetensors", "adapter_model.safetensors"
# A tied model has one tensor under two names, and its files one of the names or both.
TIED = (("lm_head.weight", "embed_tokens.weight"), ("embed_tokens.weight", "lm_head.weight"))
MISMATCH = "base and trained are not the same architecture: run `dvc repro`"

Weights = dict[str, tuple[Path, Any]]  # a tensor's name: its file and the open file


def blend(base: "Tensor", trained: "Tensor", alpha: float) -> "Tensor":
    """Return base + alpha * (trained - base), computed in float32, in the dtype of `trained`; integers stay trained."""
    if not trained.is_floating_point():
        return trained
    start = base.float()
    return (trained.float() - start).mul_(alpha).add_(start).to(trained.dtype)


def scale(name: str, tensor: "Tensor", alpha: float) -> "Tensor":
    """Return an adapter's tensor such that its whole update becomes `alpha` times what it was.

    The update is linear in B alone, whatever ranks and scales adapter_config.json gives.
    """
    if ".lora_B." in name:
        return (tensor.float() * alpha).to(tensor.dtype)
    if ".lora_A." in name:
        return tensor
    raise InputError(f"{TRAINED / ADAPTER}: {name} is no low-rank update, so alpha cannot scale it; train without it")


def open_weights(folder: Path, stack: ExitStack) -> Weights:
    """Return what a folder holds, file after file; each is mapped, not read, and open for as long as `stack` lasts."""
    from safetensors import SafetensorError, safe_open

    if (folder / INDEX).is_file():
        names = sorted(set(read_json(folder / INDEX)["weight_map"].values()))
    else:
        names = [ADAPTER if (folder / ADAPTER).is_file() else WEIGHTS]
    weights = {}
    for file in (folder / name for name in names):
        try:
            shard = stack.enter_context(safe_open(file, framework="pt"))
        except (SafetensorError, OSError) as error:
            raise InputError(f"{file}: not a whole safetensors file ({error}); make or fetch it again") from None
        weights |= dict.fromkeys(shard.offset_keys(), (file, shard))
    return weights


def find(name: str, trained: "Tensor", base: Weights) -> "Tensor":
    """Return the base's tensor of that name, or of the name it is tied to; its shape must be that of `trained`."""
    tied = (other for other in base for a, b in TIED if name.endswith(a) and other.endswith(b))
    known = name if name in base else next(tied, None)
    if known is None:
        raise InputError(f"{BASE}: no tensor {name}, which {TRAINED} has; {MISMATCH}")
    file, shard = base[known]
    held = shard.get_tensor(known)
    if (here := list(held.shape)) != (there := list(trained.shape)):
        raise InputError(f"{file}: {known} is {here} where {TRAINED} has {there}; {MISMATCH}")
    return held


def open_base(stack: ExitStack) -> Weights:
    """Return the base's weights, after a look at its depth.

    A name that only the base has is no fault: on the hub are buffers and draft heads that no loaded model keeps.
    """
    folder = Path(resolve_weights(BASE))
    depth, wanted = (text_config(load_config(each)).num_hidden_layers for each in (folder, TRAINED))
    if depth != wanted:
        raise InputError(f"{folder}/config.json: {depth} layers where {TRAINED} has {wanted}; {MISMATCH}")
    return open_weights(folder, stack)


def write_weights(out: Path, alpha: float) -> int:
    """Write each file of trained weights anew to `out`; return the count of tensors. Memory holds one file's."""
    from safetensors.torch import save_file
    from tqdm import tqdm

    with ExitStack() as stack:
        trained = open_weights(TRAINED, stack)
        base = None if (TRAINED / ADAPTER).is_file() else open_base(stack)
        bar = stack.enter_context(tqdm(total=len(trained), desc="interpolate", unit="tensor", disable=None))
        for (file, shard), names in groupby(trained, key=trained.__getitem__):
            tensors = {}
            for name in names:
                old = shard.get_tensor(name)
                tensors[name] = (
                    blend(find(name, old, base), old, alpha) if base is not None else scale(name, old, alpha)
                )
                bar.update()
            save_file(tensors, out / file.name, metadata=shard.metadata())
        return len(trained)


def main() -> None:
    """Copy or interpolate, then let the folder appear whole."""
    alpha = 1.0 if read_hosted_name(TRAINED) else Interpolate.load().alpha
    remove_finished_work()  # DVC has the trained model by now
    if not TRAINED.is_dir():
        raise InputError(f"{TRAINED}: no such folder; run `dvc repro` to train the model")
    remove_path(OUT)
    remove_temporary_files(OUT)
    needed = sum(file.stat().st_size for file in TRAINED.rglob("*"))
    if needed > (free := shutil.disk_usage(OUT.parent).free):
        raise InputError(f"{OUT}: needs {needed / 1e9:.2f} GB, the disk has {free / 1e9:.2f} GB free; make room")
    part = temporary_path(OUT)
    rewritten = shutil.ignore_patterns("*.safetensors") if alpha < 1 else None
    try:
        # No links: who writes through one corrupts DVC's cache. `copyfile`: DVC may write-protect the originals.
        shutil.copytree(TRAINED, part, ignore=rewritten, copy_function=shutil.copyfile)
        said = "the trained model as it is"
        if alpha < 1:
            said = f"{write_weights(part, alpha)} tensors"
            if (card := part / "README.md").is_file():
                text = card.read_text(encoding="utf-8").rstrip()
                note = f"Interpolated with the base: alpha {alpha:g} (Wortsman et al., 2022)."
                card.write_text(f"{text}\n\n{note}\n", encoding="utf-8")
        part.rename(OUT)
    finally:
        remove_path(part)
    print(f"interpolate: alpha {alpha:g}, {said}")


if __name__ == "__main__":
    run(main)
