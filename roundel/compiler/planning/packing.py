"""Packing: allocates maps with live ranges in the activation memory."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from roundel.compiler.tensor import Storage

TRIES = 100  # of orders drawn at random, always the same
Taken = Sequence[tuple[int, int]]
Lives = Mapping[Storage, tuple[int, int]]


def pack(lives: Lives, words: int) -> dict[Storage, int] | None:
    """Return the first word of every storage; storages with overlapping live ranges share no word. None if that fails.

    Parameters
    ----------
    lives
        Live range of each storage: the first and the last operation that needs it.
    words
        Number of words of the memory.
    """
    if peak(lives)[1] > words:
        return None
    beside = {storage: [other for other in lives if overlap(lives[storage], lives[other])] for storage in lives}
    for order in _orders(lives):
        places: dict[Storage, int] = {}
        for storage, top in order:
            taken = [(places[other], places[other] + other.words) for other in beside[storage] if other in places]
            if top:
                taken = [(words - stop, words - start) for start, stop in taken]
            at = first_fit(taken, storage.words, words)
            if at is None:
                break
            places[storage] = words - at - storage.words if top else at
        else:
            return places
    return None


def peak(lives: Lives) -> tuple[int, int]:
    """Return the operation at which the most words are live, and their number."""
    needs: dict[int, int] = {}
    for storage, (first, last) in lives.items():
        for index in range(first, last + 1):
            needs[index] = needs.get(index, 0) + storage.words
    return max(needs.items(), key=lambda item: item[1], default=(0, 0))


def _orders(lives: Lives) -> Iterator[list[tuple[Storage, bool]]]:
    """Orders in which to place storages, and whether each goes to the memory's end; what tends to do well first."""
    by_size = sorted(lives, key=lambda storage: (-storage.words, lives[storage]))
    by_time = sorted(lives, key=lambda storage: lives[storage])
    yield [(storage, False) for storage in by_size]
    yield [(storage, number % 2 == 1) for number, storage in enumerate(by_time)]  # chains: from end to end
    by_life = sorted(lives, key=lambda storage: (lives[storage][0] - lives[storage][1], lives[storage]))
    yield [(storage, False) for storage in by_life]
    rng = np.random.default_rng(0)
    for _ in range(TRIES):
        weights = rng.uniform(0.3, 1, len(by_size))
        ends = rng.integers(2, size=len(by_size)).astype(bool)
        order = np.argsort(
            [-storage.words * weight for storage, weight in zip(by_size, weights, strict=True)], kind="stable"
        )
        yield [(by_size[at], bool(ends[at])) for at in order]


def first_fit(taken: Taken, size: int, words: int) -> int | None:
    """Return the lowest place for `size` words; None if there is none.

    Parameters
    ----------
    taken
        Pairs of first word and end, in any order.
    size, words
        Words to allocate, and words of the memory.
    """
    at = 0
    for start, stop in sorted(taken):
        if start - at >= size:
            break
        at = max(at, stop)
    return at if at + size <= words else None


def overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    """Whether two live ranges have an operation in common."""
    return a[0] <= b[1] and b[0] <= a[1]
