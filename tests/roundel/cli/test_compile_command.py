"""`roundel compile`: its files, what they say, and what it refuses; boxes of a detector's head."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest

from roundel.compiler import Head, compile_network, layer_rows, memory_map
from roundel.golden.engine import Engine, Program, Region
from roundel.golden.formats import Format
from roundel.golden.head import HeadParams, decode
from roundel.golden.network import Encoding, InputRounding, Network, Weighted, Window, outputs, save, steps
from roundel.runtime.random_networks import engine_network
from tests.roundel.compiler.test_compile import engine
from tests.roundel.compiler.test_compile_layers import weighted
from tests.support.command import call
from tests.support.engine_order import check_order


@pytest.fixture
def saved(tmp_path, seed):
    """A network file, the network in it, and an image."""
    network, image = engine_network(seed, size=20)
    rows, columns, channels = image.shape
    save(network, tmp_path / "network.npz", {"input_shape": [channels, rows, columns]})
    return tmp_path / "network.npz", network, image


def test_files(saved, tmp_path, capsys):
    path, network, image = saved
    folder = tmp_path / "out"
    assert call("compile", path, "--config", "tiny", "--set", "memory=4096", "-o", folder, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((folder / "memory_map.json").read_text())
    assert (found["format"], found["version"]) == ("roundel-memory-map", 2)
    assert set(found["outputs"]) == set(network.output_names)
    expected = compile_network(network, image.shape, engine("tiny", memory=4096))
    assert (folder / "program.bin").read_bytes() == expected.image
    text = (folder / "program.lst").read_text()
    for index, one in enumerate(expected.program.descriptors):
        assert any(line.split()[:2] == [str(index), one.opcode.name.lower()] for line in text.splitlines())
    assert found["layers"] == layer_rows(expected)


def test_equal_runs_give_equal_files(saved, tmp_path):
    for name in ("one", "two"):
        assert call("compile", saved[0], "--config", "tiny", "--trace", "-o", tmp_path / name) == 0
    for name in ("program.bin", "memory_map.json", "program.lst"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_memory_map_says_how_images_are_encoded(saved):
    """A driver that knew the format alone would round and clamp in its own way."""
    _, network, image = saved
    narrow = replace(network, encoding=Encoding(rounding=InputRounding.FLOOR, bounds=(-3, 3)))
    maps = [memory_map(compile_network(made, image.shape, engine("tiny"))) for made in (network, narrow)]
    assert [made["input"]["encoding"] for made in maps] == [
        {"rounding": "half_even", "bounds": None},
        {"rounding": "floor", "bounds": [-3, 3]},
    ]


def test_memory_map_is_enough_for_a_driver(saved, tmp_path, capsys):
    """A driver that knows the map only: it puts the image there, runs, and finds every result."""
    path, network, image = saved
    assert call("compile", path, "--config", "tiny", "--trace", "-o", tmp_path / "out", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    regions = {region: np.zeros(found["regions"][region.name.lower()], np.uint8) for region in Region}
    regions[Region.PROGRAM][:] = np.frombuffer((tmp_path / "out" / "program.bin").read_bytes(), np.uint8)
    put(found["input"], image, regions[Region.INPUT])
    Engine(params=engine("tiny"), regions=regions).run()
    for step in steps(network, image[None]):
        place = (found["outputs"] | found["traced"])[step.layer.name]
        data = regions[Region[place["region"].upper()]]
        values = data[_bytes(place)].astype(np.int64)
        if place["format"]["signed"]:
            values = (values ^ 0x80) - 0x80
        assert place["shape"] == list(step.outputs.shape[1:])
        assert np.array_equal(values, step.outputs.ravel())


@pytest.mark.parametrize(("rows", "pad"), [(8, (1, 1, 1, 1)), (9, (0, 1, 0, 1)), (10, (0, 0, 0, 0))])
def test_a_driver_that_writes_rows_twice(rows, pad):
    """Three channels of 3 x 3 and stride 2: a row of the map is all that an output row reads, 27 bytes in a row."""
    window = Window(kernel=(3, 3), stride=(2, 2), pad=pad)
    form = Format(width=8, signed=False, fraction=3, zero=77)
    network = Network(source="image", input=form, layers=(weighted("conv", "image", 3, 5, window, x=form),))
    image = np.random.default_rng(2).integers(0, 256, (rows, 7, 3))
    compiled = compile_network(network, image.shape, engine("small"))
    place = memory_map(compiled)["input"]
    assert (place["interleave"], place["advance"], place["above"], place["pixel_bytes"]) == (3, 2, pad[0], 9)
    regions = {region: np.zeros(size, np.uint8) for region, size in compiled.sizes.items()}
    regions[Region.PROGRAM][:] = np.frombuffer(compiled.image, np.uint8)
    put(place, image, regions[Region.INPUT])
    assert np.array_equal(regions[Region.INPUT], compiled.regions(image)[Region.INPUT])
    Engine(params=engine("small"), regions=regions).run()
    (result,) = compiled.results(regions).values()
    assert np.array_equal(result, next(iter(outputs(network, image[None]).values()))[0])


def put(place, image, data):
    """Write the input as docs/compiler.md says: byte by byte, rows that are not there as `zero`."""
    for row in range(place["map_rows"]):
        for inner in range(place["interleave"]):
            number = row * place["advance"] - place["above"] + inner
            for column in range(place["columns"]):
                for channel, slot in enumerate(place["slots"] or range(place["channels"])):
                    value = image[number, column, channel] if 0 <= number < len(image) else place["format"]["zero"]
                    plane, lane = divmod(slot, place["pixel_bytes"])
                    at = place["offset"] + plane * place["plane_pitch"] + row * place["row_pitch"]
                    data[at + column * place["pixel_bytes"] + lane + inner * place["channels"]] = value & 0xFF


def _bytes(place):
    """The byte of every element of a result in the order (row, column, channel)."""
    return [
        place["offset"] + slot // place["pixel_bytes"] * place["plane_pitch"] + slot % place["pixel_bytes"]
        + row * place["row_pitch"] + column * place["pixel_bytes"]
        for row in range(place["rows"]) for column in range(place["columns"])
        for slot in place["slots"] or range(place["channels"])
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "lanes=4"), "columns must equal lanes"),
        (("--set", "lane=4"), "no parameter 'lane'"),
        (("--input-shape", "8x8"), "--input-shape '8x8': expected"),
        (("--input-shape", "8x8x77"), "input channels"),
        (("--head", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_refused(saved, tmp_path, capsys, arguments, message):
    assert call("compile", saved[0], *arguments, "-o", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_file_without_a_shape(saved, tmp_path, capsys):
    _, network, image = saved
    save(network, tmp_path / "plain.npz")
    assert call("compile", tmp_path / "plain.npz", "-o", tmp_path / "out") == 2
    assert "expected --input-shape" in capsys.readouterr().err
    shape = "x".join(map(str, image.shape))
    assert call("compile", tmp_path / "plain.npz", "--input-shape", shape, "-o", tmp_path / "out") == 0


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_boxes(name, seed):
    """Two scales, whose tensors have gaps or follow one another; the records of what golden keeps."""
    rng, layers, heads = np.random.default_rng(seed), [], []
    form = Format(width=8, signed=False, fraction=3)
    logits = Format(width=8, signed=True, fraction=3)
    params = engine(name)

    def product(layer, source, channels, outputs, output):
        layers.append(
            Weighted(
                name=layer, sources=(source,), x=form, w=Format(width=8, signed=True, fraction=9),
                b=Format(width=16, signed=True, fraction=9), output=output, bias=rng.integers(-9, 9, outputs),
                weights=rng.integers(-128, 128, (channels, outputs)),
            )
        )  # fmt: skip
        return layer

    for scale in range(2):
        cls = product(f"cls{scale}", "image", 6, 10, logits)
        box = product(f"box{scale}", product(f"inner{scale}", "image", 6, 5, form), 5, 4, form)
        head = HeadParams(columns=12, rows=12, stride=8, classes=10, threshold=20, shift=2, width=96, height=96)
        heads.append(Head(cls=cls, box=box, params=head))
    network = Network(source="image", input=form, layers=tuple(layers), results=("cls0", "box0", "cls1", "box1"))
    image = rng.integers(0, 256, (12, 12, 6))
    compiled = compile_network(network, image.shape, params, heads=heads)
    check_order(compiled.image, params)
    regions = compiled.regions(image)
    Engine(params=params, regions=regions).run()
    tensors = {step.layer.name: step.outputs[0] for step in steps(network, image[None])}
    boxes = decode([one.params for one in heads], [(tensors[one.cls], tensors[one.box]) for one in heads])
    kept = params.nms.compute(*boxes).kept
    assert len(kept) > 3
    expected = [(*boxes.boxes[at], boxes.scores[at], boxes.labels[at], at) for at in kept]
    assert list(struct.iter_unpack("<HHHHHHI", compiled.records(regions))) == [tuple(map(int, one)) for one in expected]
    assert Program.unpack(compiled.image, params) == compiled.program
