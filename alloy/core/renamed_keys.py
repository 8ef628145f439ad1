"""Accept the old names of keys in files of settings, with a warning that gives the new name.

A class of settings declares its old names:

    class Split(Section):
        renamed = {"near": "near_duplicate_threshold"}  # old name: new name

The old name then works in params.yaml, in profiles and in source.yaml. Code uses only the new name.
"""

import os
import sys
from functools import cache
from typing import Any

from pydantic import BaseModel

from alloy.core.setting_errors import without_none


def rename_old_keys(model: Any, values: Any, file: str, key: str) -> tuple[Any, list[str]]:  # noqa: ANN401 (a class, and YAML)
    """Return `values` with the new names of keys, and an error for each key that is given by both names.

    Fields of `model` that are models themselves are included. `key` is the key of `values` in `file`, empty for a whole
    file. Print a warning for each old name.
    """
    if not (isinstance(model, type) and issubclass(model, BaseModel) and isinstance(values, dict)):
        return values, []
    renamed: dict[str, str] = getattr(model, "renamed", {})
    new_values: dict[Any, Any] = {}
    errors: list[str] = []
    for name, value in values.items():
        new_name = renamed[name] if name in renamed else name  # noqa: SIM401 (pyright infers None from `get`)
        location = f"{file}: {key}.{name}" if key else f"{file}: {name}"
        if new_name != name and new_name in values:
            errors.append(f"{location}: the old name of {new_name}, which is given too; remove {name}")
            continue
        if new_name != name:
            warn_once(
                f"{location}: this key is now {new_name}; rename the key, since later versions reject the old name"
            )
        if field := model.model_fields.get(new_name):
            nested_key = f"{key}.{new_name}" if key else new_name
            value, nested_errors = rename_old_keys(without_none(field.annotation), value, file, nested_key)
            errors += nested_errors
        new_values[new_name] = value
    return new_values, errors


@cache
def warn_once(line: str) -> None:
    """Print a warning to standard error, unless this process has printed it before or is not the main process."""
    if os.environ.get("RANK", "0") == "0":
        print(f"warning: {line}", file=sys.stderr)
