"""Reading the file of labeled comments, checked against the taxonomy, and what to say of its bad rows."""

from functools import partial
from pathlib import Path

from alloy.core.files import join_errors, number_lines
from alloy.formats.taxonomy import Taxonomy
from alloy.runtime.parallel import over_blocks
from alloy.splitting.settings import BadRow, Split
from alloy.splitting.validate import Survey, examine, gather

LETTERS = 300  # of a fault, at most


def read_survey(path: Path, taxonomy: Taxonomy) -> Survey:
    """Return what is to be known of a file of comments, with a bar on a terminal."""
    from tqdm import tqdm

    with tqdm(number_lines(path), unit=" comments", desc="split", disable=None, dynamic_ncols=True) as lines:
        return gather(path, over_blocks(partial(examine, path, taxonomy), lines))


def require_good_rows(survey: Survey, split: Split) -> None:
    """Raise `InputError`, one line for each of the first bad rows, unless they may be left out and good ones remain."""
    faults = [f"{reject['file']}:{reject['line']}: {shortened(reject['reason'])}" for reject in survey.rejects]
    if faults and (split.on_bad_row is BadRow.stop or not survey.rows):
        leave_out = ", or set split.on_bad_row: reject to leave them out" if survey.rows else "; no good row is left"
        end = f"no split was made; correct the rows{leave_out}"
        raise join_errors(faults, end)


def shortened(reason: str) -> str:
    """Return a fault as one line; what it quotes of the data may be long, with line breaks of its own."""
    line = " ".join(reason.split())
    return line if len(line) <= LETTERS else f"{line[: LETTERS - 3]}..."
