"""Progress that remembers what it was told."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Told:
    """A `Progress`; `parts` are (title, steps announced, names of the steps done)."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, int, list[str]]] = []

    @contextmanager
    def __call__(self, title: str, total: int) -> Iterator[Callable[[str], None]]:
        done: list[str] = []
        self.parts.append((title, total, done))
        yield done.append
