"""Tests that need an outside reference: skipped where it is absent, failed where it is required."""

import pytest

from tests.support import outside


@pytest.fixture(autouse=True)
def absent(monkeypatch):
    monkeypatch.setitem(outside.PACKAGES, "torch", ("no_such_package", "pip install it"))
    monkeypatch.setitem(outside.PROGRAMS, "opensta", ("no-such-program", "apt-get install it"))
    monkeypatch.delenv(outside.REQUIRE, raising=False)


@pytest.mark.parametrize("name", ["torch", "opensta"])
def test_an_absent_reference(name, monkeypatch):
    with pytest.raises(pytest.skip.Exception, match=rf"needs {name}: .* install it"):
        outside.need(name)
    monkeypatch.setenv(outside.REQUIRE, f"liberty,{name}")
    with pytest.raises(pytest.fail.Exception, match=rf"needs {name}: .* install it; ROUNDEL_REQUIRE names it"):
        outside.need(name)


def test_a_name_that_nobody_knows(monkeypatch):
    monkeypatch.setenv(outside.REQUIRE, "opensta,openst")
    with pytest.raises(pytest.UsageError, match=r"expected fusesoc, .*, not openst$"):
        outside.required()


def test_present_references():
    assert outside.need("onnxruntime").InferenceSession
    assert outside.program("fusesoc") is None or outside.need("fusesoc").endswith("fusesoc")
