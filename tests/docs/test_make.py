"""docs/make: each script loads with the code as it is, and `make figures` runs all of them."""

import re
import runpy
import sys

import pytest

from tests.support.places import MAKE, ROOT

SCRIPTS = sorted(MAKE.glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_loads(script, monkeypatch):
    monkeypatch.syspath_prepend(str(MAKE))
    monkeypatch.delitem(sys.modules, "figures", raising=False)
    assert callable(runpy.run_path(str(script))["main"])
    sys.modules.pop("figures", None)


def test_make_figures_runs_all_scripts():
    recipe = (ROOT / "Makefile").read_text().partition("\nfigures:")[2].partition("\n\n")[0]
    assert set(re.findall(r"docs/make/(\w+)\.py", recipe)) == {script.stem for script in SCRIPTS}
