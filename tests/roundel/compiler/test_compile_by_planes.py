"""Maps that do not fit on chip and that a depthwise layer reads: made and read plane by plane."""

import pytest

from roundel.compiler import layer_rows
from roundel.golden.engine import Opcode
from roundel.golden.network import Window
from tests.roundel.compiler.test_compile import check, engine
from tests.roundel.compiler.test_compile_layers import S8, image_of, network, weighted

POINT = Window(kernel=(1, 1))


def layers(*, outputs=24, factor=1):
    """An expansion, a depthwise layer and a projection; the map between the first two has 24 channels of 12 x 14."""
    expand = weighted("expand", "image", 4, 24, POINT)
    depth = weighted("depth", "expand", 24, 24 * factor, Window(kernel=(3, 3), stride=(2, 2), pad=(1,) * 4), groups=24)
    return network(expand, depth, weighted("project", "depth", 24 * factor, outputs, POINT, output=S8))


def computes(compiled):
    return [task.layer for task in compiled.tasks if task.opcode is Opcode.COMPUTE and task.layer]


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("fields", [{}, {"beat_words": 4}])
def test_a_map_that_does_not_fit_is_handed_over_plane_by_plane(fields, factor):
    """Of 4 KiB the whole map takes 4,032 bytes; it is neither stored nor loaded."""
    compiled = check(layers(factor=factor), image_of(12, 14, 4), engine("tiny", memory=4096, **fields), trace=False)
    order = [layer for layer in computes(compiled) if layer in ("expand", "depth")]
    turns = [layer for number, layer in enumerate(order) if order[number - 1] != layer or not number]
    assert turns == ["expand", "depth"] * 6
    rows = {row["layer"]: row for row in layer_rows(compiled)}
    assert rows["expand"]["stored"] == 0
    assert rows["depth"]["loaded"] == 0
    assert rows["depth"]["macs"] == 6 * 7 * 9 * 24 * factor


def test_a_map_that_fits_or_is_traced_is_made_as_a_whole():
    for memory, trace in ((1 << 15, False), (4096, True)):
        compiled = check(layers(), image_of(12, 14, 4), engine("tiny", memory=memory), trace=trace)
        order = [layer for layer in computes(compiled) if layer in ("expand", "depth")]
        assert order == sorted(order, reverse=True)
