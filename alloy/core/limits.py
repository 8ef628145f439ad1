"""Limits of a value: one out of range raises `ValueError`, to which `alloy/core/params.py` adds the file."""


def require(holds: bool, key: str, value: object, wanted: str) -> None:
    """Raise `ValueError` that names `key` unless `holds`."""
    if not holds:
        raise ValueError(f"{key}: {value} is out of range; give {wanted}")


def share(key: str, value: float) -> None:
    """Require a share between 0 and 1, ends included."""
    require(0 <= value <= 1, key, value, "a share from 0 to 1")
