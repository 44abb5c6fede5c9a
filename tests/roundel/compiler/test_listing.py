"""The listing and the memory map of a program that is made up: a line, a number and a place for each descriptor."""

from types import SimpleNamespace

import numpy as np

from roundel.compiler.program_text import COUNTS, layer_rows, listing, moved
from roundel.golden.engine import Opcode, Region


def task(
    opcode: Opcode, layer: str, steps: tuple[int, int] = (0, 0), macs: int = 0, further: int = 0, **values: int
) -> SimpleNamespace:
    return SimpleNamespace(opcode=opcode, layer=layer, steps=steps, further=further, macs=macs, values=values)


TASKS = [
    task(Opcode.LOAD, "conv", planes=2, runs=3, run_bytes=40, region=1, offset=64, chip=5, signal_next=1),
    task(
        Opcode.COMPUTE, "conv", (7, 9), 1000, 3, tiles_x=2, tiles_y=3, tile_h=8, tile_w=16, weights_bytes=100,
        parameters_bytes=30, source=320, target=77, wait_previous=1, signal_previous=1, has_residual=1, residual=44,
        depthwise=1, upsample=1,
    ),
    task(
        Opcode.COMPUTE, "conv", (1, 2), 500, 2, tiles_x=1, tiles_y=1, tile_h=4, tile_w=5, weights_bytes=10,
        parameters_bytes=3, source=8, target=9, maximum=1,
    ),
    task(Opcode.STORE, "conv", planes=1, runs=4, run_bytes=25, region=2, offset=128, chip=77, wait_previous=1),
    task(Opcode.BOXES, "head", cls=11, box=22, wait_next=1),
    task(Opcode.LOAD, "", planes=1, runs=1, run_bytes=8, region=3, offset=0, chip=0),
]  # fmt: skip


class Place(SimpleNamespace):
    """A storage; each is equal to itself alone."""

    __hash__ = object.__hash__


def storage(name: str, words: int, pixel: int, outer: tuple[Region, int] | None) -> Place:
    place = None if outer is None else SimpleNamespace(region=outer[0], offset=outer[1], row=8, plane=64)
    made = Place(name=name, words=words, pixel=pixel, planes=3, rows=6, columns=5, outer=place)
    made.root = (made, 0)
    return made


def compiled() -> SimpleNamespace:
    image = storage("image", 10, 4, (Region.INPUT, 0))
    inner = storage("inner", 20, 0, None)
    result = storage("result", 30, 0, (Region.OUTPUT, 512))
    return SimpleNamespace(
        tasks=TASKS,
        params=SimpleNamespace(words=8192, lanes=4),
        plan=SimpleNamespace(resident={inner: 100, image: 7}),
        sizes={region: 1000 * (number + 1) for number, region in enumerate(Region)},
        source=SimpleNamespace(storage=image),
        tensors={name: SimpleNamespace(storage=item) for name, item in (("a", inner), ("b", result), ("c", result))},
    )


def test_what_each_layer_takes():
    """Weights and parameters come again for each tile; bytes move in all runs of all planes."""
    assert moved(TASKS[0]) == 240
    assert layer_rows(compiled()) == [
        {
            **{"layer": "conv", "computes": 2, "macs": 1500, "steps": 8, "steps_dense": 11, "steps_further": 5},
            **{"loaded": 240, "stored": 100, "weights": 6 * 100 + 10, "parameters": 6 * 30 + 3},
        },
        {"layer": "head"} | dict.fromkeys(COUNTS, 0),
    ]  # fmt: skip


def test_the_listing():
    lines = listing(compiled()).splitlines()
    cells = [[cell for cell in line.split("  ") if cell] for line in lines]
    cells = [[cell.strip() for cell in row] for row in cells]
    assert cells[0] == ["index", "operation", "layer", "tokens", "reads", "writes", "tiles", "steps", "bytes"]
    assert cells[1] == ["0", "load", "conv", "+>", "input 64", "chip 5 w", "2 x 3 runs", "240"]
    assert cells[2] == [
        *("1", "compute", "conv", "<- <+", "chip 320 B, 44 w", "chip 77 w", "3 x 2 of 8 x 16"),
        *("7 of 9 depthwise upsample", "100 + 30"),
    ]
    assert cells[3] == ["2", "compute", "conv", "chip 8 B", "chip 9 w", "1 x 1 of 4 x 5", "1 of 2 maximum", "10 + 3"]
    assert cells[4] == ["3", "store", "conv", "<-", "chip 77 w", "output 128", "1 x 4 runs", "100"]
    assert cells[5] == ["4", "boxes", "head", "->", "chip 11 w, 22 w", "output"]
    assert cells[6][:3] == ["5", "load", "(passes a token)"]
    assert cells[7] == ["6", "end"]
    columns = [
        line.index(word) for line, word in zip(lines[:5], ("tiles", "2 x 3", "3 x 2", "1 x 1", "1 x 4"), strict=True)
    ]
    assert len(set(columns)) == 1, "columns stand below each other"
    assert lines[8:] == [
        "",
        "on chip (8192 words of 4 bytes), from the making to the last reading:",
        "        7 to 17      image: 6 x 5, pixels of 4 bytes",
        "      100 to 120     inner: 6 x 5, 3 planes",
        "",
        "outer memory:",
        *(f"  {region.name.lower():<8} {1000 * (number + 1):>12} bytes" for number, region in enumerate(Region)),
        "  input    from 0            image: 6 x 5, pixels of 4 bytes",
        "  output   from 512          result: 6 x 5, 3 planes",
    ]
    assert np.unique([len(line) - len(line.rstrip()) for line in lines]).tolist() == [0]
