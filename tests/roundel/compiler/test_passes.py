"""The list of the compiler's passes: it is the page's, and what a pass leaves can be looked at."""

import re

from roundel.compiler import PASSES, Compilation, compile_network
from roundel.golden.engine import Opcode
from roundel.runtime.random_networks import engine_network
from tests.roundel.compiler.test_compile import engine
from tests.support.places import DOCS


def test_page_lists_them():
    page = (DOCS / "compiler.md").read_text().split("\n## Passes\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| (\w+) \| `", page, re.MULTILINE) == [step.__name__ for step in PASSES]


def test_run_one_by_one(seed):
    network, image = engine_network(seed)
    params = engine("tiny")
    compiled = compile_network(network, image.shape, params, trace=True)
    work, made = Compilation(network=network, shape=image.shape, params=params, trace=True), []
    for step in PASSES:
        before = set(vars(work))
        step(work)
        made.append(set(vars(work)) - before)
    assert made == [{"lowered", "headed"}, {"plan"}, {"sizes"}, {"streams", "tasks"}, set(), {"program", "image"}]
    assert work.image == compiled.image
    assert work.sizes == compiled.sizes
    assert [*(task.opcode for task in work.tasks), Opcode.END] == [
        descriptor.opcode for descriptor in compiled.program.descriptors
    ]
