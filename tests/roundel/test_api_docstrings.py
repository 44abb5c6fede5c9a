"""The docstrings of the public API by numpydoc's validation."""

import dataclasses
import inspect

import pytest
from numpydoc.docscrape import ClassDoc
from numpydoc.validate import validate

import roundel

DOCUMENTED = [name for name in roundel.__all__ if name != "__version__"]
IGNORED = {
    "ES01",  # not every summary needs a second paragraph
    "EX01",  # calls of minutes and results of calls have no example
    "PR04",  # types stand in the signature
    "SA01",  # the page of the API names neighbours
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_numpydoc_has_nothing_to_say(name: str) -> None:
    thing = getattr(roundel, name)
    ignored = IGNORED
    if inspect.isclass(thing) and ClassDoc(thing)["Attributes"]:
        ignored = IGNORED | {"PR01"}  # fields of results are attributes, see below
    errors = [f"{code} {message}" for code, message in validate(f"roundel.{name}")["errors"] if code not in ignored]
    assert errors == []


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if dataclasses.is_dataclass(getattr(roundel, name))])
def test_every_public_field_is_documented(name: str) -> None:
    thing = getattr(roundel, name)
    sections = ClassDoc(thing)
    told = {
        word.strip()
        for part in ("Parameters", "Attributes")
        for entry in sections[part]
        for word in entry.name.split(",")
    }
    assert {field.name for field in dataclasses.fields(thing) if not field.name.startswith("_")} <= told
