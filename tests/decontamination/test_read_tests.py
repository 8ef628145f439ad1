"""The texts of all tests are read, and keys that have no effect are told."""

from alloy.decontamination.read_tests import PROMPT_KEYS
from alloy.formats.ifeval import FIELDS


def test_the_keys_of_a_prompt_are_those_that_ifeval_reads() -> None:
    assert list(PROMPT_KEYS) == FIELDS
