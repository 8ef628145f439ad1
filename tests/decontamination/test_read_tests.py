"""The texts of all tests are read, and unknown keys are warned of."""

from alloy.decontamination.read_tests import PROMPT_KEYS
from alloy.formats.ifeval import FIELDS


def test_the_known_keys_of_a_prompt_match_ifeval() -> None:
    assert list(PROMPT_KEYS) == FIELDS
