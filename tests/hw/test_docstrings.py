"""All public functions, classes and methods of hw have docstrings, their own or those of a base."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import roundel.hw


def modules() -> list[ModuleType]:
    """All modules of hw."""
    folder = Path(roundel.hw.__file__).parent
    paths = [path.relative_to(folder).with_suffix("") for path in folder.rglob("*.py") if path.stem != "__init__"]
    return [import_module(".".join(("roundel.hw", *path.parts))) for path in paths]


def public(owner: ModuleType | type) -> Iterator[Any]:
    """Functions, methods and classes of an owner that are named without underscore and written in hw."""
    for name in vars(owner):
        item = getattr(owner, name)
        here = (getattr(item, "__module__", None) or "").startswith("roundel.hw")
        if here and not name.startswith("_") and (inspect.isfunction(item) or inspect.isclass(item)):
            yield item
            if inspect.isclass(item):
                yield from public(item)


def test_public_names_have_docstrings() -> None:
    """A method that overrides another may leave it to that one, as each `elaborate` leaves it to its class."""
    items = {item for module in modules() for item in public(module)}
    assert len(items) > 250
    docs = {item: item.__doc__ if inspect.isclass(item) else inspect.getdoc(item) for item in items}
    assert sorted(f"{item.__module__}.{item.__qualname__}" for item, doc in docs.items() if not doc) == []
