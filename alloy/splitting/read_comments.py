"""Read a file of labeled comments, check it against the taxonomy, and report its bad rows."""

from functools import partial
from pathlib import Path

from alloy.core.files import join_errors, number_lines
from alloy.formats.taxonomy import Taxonomy
from alloy.runtime.parallel import map_blocks
from alloy.splitting.settings import BadRow, Split
from alloy.splitting.validate import CheckedComments, check_block, join_blocks

MAX_REASON_LENGTH = 300  # characters of the reason in an error


def read_comments(path: Path, taxonomy: Taxonomy) -> CheckedComments:
    """Return the checked comments of a file, with a progress bar on a terminal."""
    from tqdm import tqdm

    with tqdm(number_lines(path), unit=" comments", desc="split", disable=None, dynamic_ncols=True) as lines:
        return join_blocks(path, map_blocks(partial(check_block, path, taxonomy), lines))


def require_good_rows(comments: CheckedComments, split: Split) -> None:
    """Raise `InputError`, with one line per bad row, unless bad rows are to be left out and good ones remain."""
    errors = [f"{reject['file']}:{reject['line']}: {shorten_reason(reject['reason'])}" for reject in comments.rejects]
    if errors and (split.on_bad_row is BadRow.stop or not comments.rows):
        leave_out = ", or set split.on_bad_row: reject to leave them out" if comments.rows else "; no good row is left"
        end = f"no split was made; correct the rows{leave_out}"
        raise join_errors(errors, end)


def shorten_reason(reason: str) -> str:
    """Return a reason on one line, cut off if it is long: it may quote a long text with line breaks."""
    line = " ".join(reason.split())
    return line if len(line) <= MAX_REASON_LENGTH else f"{line[: MAX_REASON_LENGTH - 3]}..."
