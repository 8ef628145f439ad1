"""Fail if tuning costs more than a limit of the gate allows.

Reads   metrics/compare.json; metrics/report.html, so that it comes last
Writes  nothing: all metrics and the report of this run are there to be looked at, also if it fails
Run     dvc repro gate
"""

from alloy.comparison.gate import find_broken_limits
from alloy.comparison.settings import Gate
from alloy.core.files import InputError, read_json
from alloy.core.stage import run


def main() -> None:
    """Read, judge."""
    gate = Gate.load()
    if broken := find_broken_limits(read_json("metrics/compare.json")["measures"], gate):
        raise InputError("\n".join(broken))
    print(f"gate: {len(gate.limits())} limits, none is broken")


if __name__ == "__main__":
    run(main)
