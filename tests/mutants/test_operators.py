"""Faults are drawn from what the code does, and from nothing else."""

import pytest

from tests.mutants.operators import compiles, mutants
from tests.mutants.sample import draw
from tests.mutants.tests_of import Measured, nearest
from tests.support.places import ROOT


def results(source: str) -> list[str]:
    """The files with each of their faults."""
    data = source.encode()
    return [fault.apply(data).decode() for fault in mutants("x.py", data) if compiles(fault, data)]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("x = (a + b) * c", {"x = ((a + b) + c)", "x = ((a - b)) * c"}),
        ("x = a // b", {"x = (a * b)"}),
        ("x = a << b", {"x = (a >> b)"}),
        ("a and b and c", {"(a or b and c)", "(a and b or c)"}),
        ("x = a <= b", {"x = (a < b)"}),
        ("x = a is not None", {"x = (a is None)"}),
        ("x = a not in b", {"x = (a in b)"}),
        ("x = not a", {"x = (a)"}),
        ("x = ~a", {"x = (a)"}),
        ("x = 7", {"x = 8", "x = 6"}),
        ("x = True", {"x = False"}),
        ("x = 0.5", {"x = 1.0"}),
        ("x = np.min(a)", {"x = np.max(a)"}),
        ("x = a if b else c", {"x = a if (not (b)) else c"}),
        ("x = [a for a in b if a]", {"x = [a for a in b if (not (a))]"}),
        ("def f():\n    return a", {"def f():\n    return None"}),
        ("def f():\n    raise E(1 + 2)", {"def f():\n    pass"}),
        ("a.append(b)", {"pass"}),
        ("a.b = c", {"pass"}),
        ("m.d.comb += [a.eq(b), c.eq(d)]", {"pass", "m.d.comb += [[], c.eq(d)]", "m.d.comb += [a.eq(b), []]"}),
        ("with m.If(a): b", {"with m.If((a) == 0): b"}),
        ("x = Mux(a, b, c)", {"x = Mux(a, c, b)"}),
        ("x = Signal(init=a == b)", {"x = Signal(init=0)", "x = Signal(init=(a != b))"}),
        ("for a in b: break", {"for a in b: continue"}),
        ("é = 'é'; x = a + b", {"é = 'é'; x = (a - b)"}),
    ],
)
def test_faults(source: str, wanted: set[str]) -> None:
    assert set(results(source)) == wanted


@pytest.mark.parametrize(
    "source",
    [
        '"""Adds 1 + 2."""',
        "x: Annotated[int, 1 + 2]",
        "def f(a: Field(1) = b) -> Field(2): ...",
        "@dataclass(frozen=True)\nclass A: ...",
        "assert a == 1",
        "x = f'{a + 1}'",
        "x = zip(a, b, strict=True)",
        "x = Signal(reset_less=True)",
        "x = 'a' + b",
        "from a import b",
        "if TYPE_CHECKING: x = 1",
    ],
)
def test_what_is_left_alone(source: str) -> None:
    assert results(source) == []


def test_a_sample_is_repeatable_and_unseen() -> None:
    sample = draw(ROOT, "golden", 12, "seed", ())
    assert sample == draw(ROOT, "golden", 12, "seed", ())
    assert len({(fault.mutant.path, fault.mutant.line) for fault in sample}) == 12
    other = draw(ROOT, "golden", 12, "seed", {fault.key for fault in sample})
    assert not {fault.key for fault in sample} & {fault.key for fault in other}


def test_near_and_quick_tests_come_first() -> None:
    names = {
        "tests/roundel/test_api.py::test_a": 0.1,
        "tests/golden/codec/test_codec.py::test_b[1]": 0.2,
        "tests/golden/codec/test_codec.py::test_b[2]": 0.2,
        "tests/golden/codec/test_codec.py::test_c": 0.25,
        "tests/golden/codec/test_codec.py::test_d": 60,
    }
    tests = [Measured(name, seconds, seconds, "", {}) for name, seconds in names.items()]
    order = [test.name.rpartition("_")[2] for test in nearest("golden/codec/rice.py", tests)]
    assert order == ["b[1]", "c", "b[2]", "a", "d"]
