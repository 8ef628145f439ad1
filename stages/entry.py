"""How a stage starts: quiet third parties, and one clear line instead of a traceback for a user's fault."""

import os
import sys
from collections.abc import Callable

from stages.records import InputError


def run(main: Callable[[], None]) -> None:
    """Run a stage's `main`; an `InputError` ends the process with its message and exit status 1."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # bars are for people; in a log each step would be a line
    try:
        main()
    except InputError as error:
        stage = os.path.basename(sys.argv[0]).removesuffix(".py")
        sys.exit("\n".join(f"{stage}: {line}" for line in str(error).splitlines()))
