"""docs/reference: a section for each room of golden and hw, and no other."""

import re

import pytest

from tests.support.places import DOCS, ROOT


@pytest.mark.parametrize("world", ["golden", "hw"])
def test_each_room_has_a_section(world):
    page = (DOCS / "reference" / f"{world}.md").read_text()
    named = re.findall(r"^\.\. automodule:: roundel\.(\S+)$", page, re.MULTILINE)
    folders = (path.parent.relative_to(ROOT) for path in (ROOT / world).rglob("__init__.py"))
    assert sorted(named) == sorted(".".join(folder.parts) for folder in folders if len(folder.parts) > 1)
    assert [name.removeprefix(f"{world}.") for name in named] == re.findall(r"^## (\S+)$", page, re.MULTILINE)
