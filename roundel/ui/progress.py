"""How long work tells what it has done: the type of `console.steps`, and its opposite, no progress at all."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Done = Callable[[str], None]
"""Called with a name after each step of a part."""

Progress = Callable[[str, int], AbstractContextManager[Done]]
"""Called with title and number of steps of each part; what it gives is called after each step, as `console.steps`."""


@contextmanager
def silent(title: str, total: int) -> Iterator[Done]:
    """No progress at all."""
    yield lambda name: None
