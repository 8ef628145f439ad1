"""Fail if tuning worsens a metric by more than the gate allows.

Reads   metrics/compare.json; metrics/report.html, so that this stage runs last
Writes  nothing: if it fails, all metrics and the report of the run exist already
Run     dvc repro gate
"""

from alloy.comparison.gate import find_exceeded_limits
from alloy.comparison.settings import Gate
from alloy.core.files import InputError, read_json
from alloy.core.stage import run


def main() -> None:
    """Read the comparison and check the limits."""
    gate = Gate.load()
    if broken_limits := find_exceeded_limits(read_json("metrics/compare.json")["measures"], gate):
        raise InputError("\n".join(broken_limits))
    print(f"gate: none of {len(gate.get_limits())} limits is exceeded")


if __name__ == "__main__":
    run(main)
