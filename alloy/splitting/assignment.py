"""Which side a comment is on, train or test, so that what is nearly the same is never on both."""

from collections import defaultdict

import numpy as np

FREE, TRAIN, TEST, LEFT_OUT = range(4)
SIDES = {None: FREE, "train": TRAIN, "test": TEST}  # what a comment's `split` says


def copies(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs (n, 2) of a text's first place and each later one, and the first place of every text."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    places = np.arange(len(keys))
    before = first[inverse]
    return np.stack([before, places], axis=1)[before != places], np.sort(first)


def assign(keys: np.ndarray, given: np.ndarray, pairs: np.ndarray, share: float) -> tuple[np.ndarray, dict[int, int]]:
    """Return the side of each comment, and for each that is left out the place of one on the other side.

    `keys` (n,) are hashes of texts in uint64, `given` (n,) sides that the data names or `FREE`, `pairs` (m, 2) places
    of comments that are nearly the same, or copies: of these, the first with each other. A free comment follows the
    earlier ones that it is like; one between the sides is left out, and so is one of train that is like one of test.
    """
    hashed = np.where(keys / 2**64 < share, TEST, TRAIN)
    sides = np.where(given == FREE, hashed, given)
    like: dict[int, list[int]] = defaultdict(list)
    for a, b in pairs.tolist():
        like[a].append(b)
        like[b].append(a)
    left_out: dict[int, int] = {}
    for place in sorted(like):
        if given[place] == FREE:
            known = {int(sides[one]): one for one in like[place] if one < place}
            out = known.pop(LEFT_OUT, None)
            if len(known) == 1:
                (sides[place],) = known
            elif known:
                sides[place], left_out[place] = LEFT_OUT, known[TRAIN]
            elif out is not None and keys[out] == keys[place]:
                sides[place], left_out[place] = LEFT_OUT, left_out[out]
    for place, other in _given_away(keys, np.flatnonzero(sides == TEST), like).items():
        if sides[place] == TRAIN:
            sides[place], left_out[place] = LEFT_OUT, other
    return sides, left_out


def _given_away(keys: np.ndarray, test: np.ndarray, like: dict[int, list[int]]) -> dict[int, int]:
    """Return each place of `like` whose text is like that of a place of `test`, or the same, with this one.

    It goes by texts, not places: a pair names the first copy, and each copy may be on another side.
    """
    held = dict(zip(keys[test].tolist(), test.tolist(), strict=True))
    near: dict[int, int] = {}
    for place, others in like.items():
        for one in others:
            if (key := int(keys[one])) in held:
                near.setdefault(int(keys[place]), held[key])
    return {place: near[key] for place in sorted(like) if (key := int(keys[place])) in near}
