"""The state of `alloy check inputs`: what its checks have found so far."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alloy.commands.check_table import DataRow, Summary
from alloy.core.settings import Data, GeneralRows
from alloy.datasets.prepare import prepare_data
from alloy.datasets.source import Kind

if TYPE_CHECKING:
    from alloy.commands.count_tokens import CommentTokens, GeneralStatistics

Settings = dict[Any, Any]  # sections of params.yaml and the profile, by their class


@dataclass
class Inputs:
    """What the checks have found so far; later checks use what earlier ones found. `config` is that of the model."""

    settings: Settings
    summary: Summary = field(default_factory=Summary)
    tokenizer: Any = None
    config: Any = None
    general: "GeneralStatistics | None" = None
    comments: "CommentTokens | None" = None

    def warn(self, line: str) -> None:
        """Add a warning."""
        self.summary.warnings.append(line)

    def set_rows(self, kind: Kind, rows: int, bad: int = 0) -> None:
        """Note how many rows a kind of data has, bad ones included, and how many are bad."""
        self.summary.data[kind] = DataRow(kind.value, getattr(self.settings[Data], kind), rows, bad)


@contextmanager
def prepare_in_temporary_folder(inputs: Inputs, kind: Kind) -> Iterator[Path]:
    """Prepare one kind of data in a temporary folder; rows that were left out become a warning."""
    with tempfile.TemporaryDirectory() as out:
        folder = Path("data") / getattr(inputs.settings[Data], kind)
        lines = prepare_data(folder, kind, Path(out), inputs.settings[GeneralRows].on_bad_row)
        for line in lines[1:]:  # the first one counts rows
            if "left out" in line or "no effect" in line:
                inputs.warn(line if line.startswith("data/") else f"{kind}: {line}")
        yield Path(out)
