"""Docstrings of the public API: numpydoc's validation, and the attributes of results.

An override of a method is described where the method is introduced, and its own docstring says what differs.
"""

import dataclasses
import inspect

import pytest

import roundel

LEFT_OUT = {  # numpydoc's codes, and why they are not asked for
    "ES01": "an extended summary would repeat the first line",
    "EX01": "functions have examples, which tests/roundel/test_api.py runs; classes and methods need none",
    "GL01": "the first line begins beside the quotes",
    "GL02": "a docstring of one line ends in its quotes",
    "PR04": "types of parameters stand in the signature, where mypy checks them",
    "SA01": "no section See Also",
}
CLASSES = [name for name in roundel.__all__ if inspect.isclass(getattr(roundel, name))]
FUNCTIONS = [name for name in roundel.__all__ if inspect.isfunction(getattr(roundel, name))]
RECORDS = [name for name in CLASSES if dataclasses.is_dataclass(getattr(roundel, name))]


def introduced(owner: type, name: str) -> str:
    """Where a member of a class is introduced: the full name of the most basic class that has it, and the member's."""
    home = [base for base in owner.__mro__ if name in vars(base)][-1]
    return f"{home.__module__}.{home.__qualname__}.{name}"


def members(owner: type) -> list[str]:
    """Public methods and properties of a class that are Roundel's own, by their full names."""
    return [
        full
        for name, value in inspect.getmembers(owner)
        if not name.startswith("_") and (callable(value) or isinstance(value, property))
        if (full := introduced(owner, name)).startswith("roundel.")
    ]


DOCUMENTED = sorted(
    {f"roundel.{name}" for name in (*FUNCTIONS, *CLASSES)}
    | {member for name in CLASSES for member in members(getattr(roundel, name))}
)


def documented(section: str, owner: type) -> list[str]:
    """Names that a section of a class's docstring describes."""
    from numpydoc.docscrape import ClassDoc  # of the `docs` extra

    entries = ClassDoc(owner, config={"show_class_members": False})[section]
    return [name.strip() for entry in entries for name in entry.name.split(",")]


@pytest.mark.parametrize("name", DOCUMENTED)
def test_numpydoc_validates(name):
    from numpydoc.validate import validate

    left_out = {*LEFT_OUT, "PR01"} if name.removeprefix("roundel.") in RECORDS else LEFT_OUT  # see the next test
    assert [error for error in validate(name)["errors"] if error[0] not in left_out] == []


@pytest.mark.parametrize("name", RECORDS)
def test_every_field_is_described(name):
    """Results describe their fields as attributes, what users make themselves as parameters."""
    owner = getattr(roundel, name)
    fields = [item.name for item in dataclasses.fields(owner)]
    section = "Attributes" if hasattr(owner, "save") else "Parameters"
    assert documented(section, owner) == fields


def test_the_walk_sees_members():
    assert {"roundel.ui.result.Result.save", "roundel.runtime.outcome.Run.load"} <= set(DOCUMENTED)
