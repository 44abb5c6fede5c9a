"""How long work tells what it has done: the type of `console.steps`, and its opposite, no progress at all."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Progress = Callable[[str, int], AbstractContextManager[Callable[[str], None]]]
"""Called with title and number of steps of each part; what it gives is called after each step, as `console.steps`."""


@contextmanager
def silent(title: str, total: int) -> Iterator[Callable[[str], None]]:
    """No progress at all."""
    yield lambda name: None
