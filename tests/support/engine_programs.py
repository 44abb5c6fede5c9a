"""Programs of the engine made by hand: a 1x1 convolution between a LOAD and a STORE, and the boxes of a head."""

from dataclasses import dataclass, replace

import numpy as np

from roundel.golden.codec import encode
from roundel.golden.engine import (
    RECORD,
    Descriptor,
    Engine,
    EngineParams,
    Opcode,
    Program,
    Region,
    WeightStep,
    pack_column,
)
from roundel.sim.stimuli import codec_params

ALIGN = 16
TARGET = 200  # word of the first result


def aligned(data):
    """With zeros up to where a stream or an address may stand."""
    return data + bytes(-len(data) % ALIGN)


@dataclass(frozen=True, kw_only=True)
class Pointwise:
    """All that such a program is made of; replace what is to be wrong.

    Attributes
    ----------
    source
        The map, plane after plane.
    weights, parameters
        Streams.
    descriptors
        Opcodes and fields. What is a stream's place is filled in.
    """

    params: EngineParams
    source: bytes
    weights: bytes
    parameters: bytes
    descriptors: tuple[tuple[Opcode, dict[str, int]], ...]

    def regions(self):
        """The outer memory, each region as (bytes,) uint8."""
        head = len(aligned(self.program({})))
        places = {
            "parameters_offset": head,
            "parameters_bytes": len(self.parameters),
            "weights_offset": head + len(aligned(self.parameters)),
            "weights_bytes": len(self.weights),
        }
        image = aligned(self.program(places)) + aligned(self.parameters) + aligned(self.weights)
        contents = {Region.PROGRAM: image, Region.INPUT: self.source, Region.OUTPUT: bytes(len(self.source))}
        return {region: np.frombuffer(content, np.uint8).copy() for region, content in contents.items()}

    def program(self, places):
        """Header and descriptors, with those fields of COMPUTE."""
        made = tuple(
            Descriptor(opcode=opcode, values=(places if opcode is Opcode.COMPUTE else {}) | values)
            for opcode, values in self.descriptors
        )
        return Program(fingerprint=self.params.fingerprint, descriptors=made).pack()

    def changed(self, index, **values):
        """With other fields in a descriptor."""
        listed = list(self.descriptors)
        listed[index] = listed[index][0], listed[index][1] | values
        return replace(self, descriptors=tuple(listed))


def pointwise(params, rng, *, rows=5, columns=6, blocks=2):
    """LOAD, COMPUTE, STORE, END: every number random."""
    lanes, plane = params.lanes, rows * columns
    moved = {"runs": rows, "planes": blocks, "run_bytes": columns * lanes, "outer_run": columns * lanes}
    moved |= {"outer_plane": plane * lanes, "chip_run": columns, "chip_plane": plane}
    tile = {"tile_w": columns, "last_w": columns, "tile_h": rows, "last_h": rows, "tiles_x": 1, "tiles_y": 1}
    steps = [
        WeightStep(offset=block * plane * lanes, dy=0, dx=0, last=block == blocks - 1).pack() for block in range(blocks)
    ]
    parameters = b""
    for _ in range(blocks):
        held = [{"bias": int(rng.integers(-999, 999)), "shift": int(rng.integers(4, 8))} for _ in range(lanes)]
        parameters += b"".join(pack_column(params, one) for one in held) + b"".join(steps)
    weights = rng.integers(-30, 30, blocks * blocks * lanes * lanes)
    compute = {
        "every": 1,
        "row_bytes": columns * lanes,
        "rows": rows,
        "x_step": lanes,
        "y_step": columns * lanes,
        "y_rows": 1,
        "blocks": blocks,
        "target": TARGET,
        "target_row": columns,
        "target_plane": plane,
        "low": -128,
        "high": 127,
    }
    return Pointwise(
        params=params,
        source=rng.integers(0, 256, blocks * plane * lanes).astype(np.uint8).tobytes(),
        weights=encode(weights, codec_params(rng, params.decoder, 64)),
        parameters=parameters,
        descriptors=(
            (Opcode.LOAD, moved | {"region": Region.INPUT, "signal_next": 1}),
            (Opcode.COMPUTE, compute | tile | {"wait_previous": 1, "signal_next": 1}),
            (Opcode.STORE, moved | {"region": Region.OUTPUT, "chip": TARGET, "wait_previous": 1}),
            (Opcode.END, {}),
        ),
    )


def golden_run(params, regions):
    """The outer memory after the program, and the golden engine."""
    after = {region: content.copy() for region, content in regions.items()}
    engine = Engine(params=params, regions=after)
    engine.run()
    return after, engine


def detector_heads(params, rng, *, threshold=60, above=256):
    """Logits of ten classes and distances, bytes below `above`, loaded and made into boxes: an image of two scales."""
    lanes, classes, chip, listed, source = params.lanes, 10, 0, [], b""
    planes = -(-classes // lanes) + 1
    for width, height, stride in ((12, 11, 3), (6, 5, 4)):
        places = width * height
        maps = rng.integers(0, above, (planes, places, lanes)).astype(np.uint8).tobytes()
        moved = {"region": Region.INPUT, "offset": len(source), "chip": chip, "runs": 1, "planes": planes}
        moved |= {"run_bytes": places * lanes, "outer_plane": places * lanes, "chip_plane": places}
        boxes = {"cls": chip, "cls_plane": places, "cls_signed": 1, "box": chip + (planes - 1) * places}
        boxes |= {"width": width, "height": height, "stride": stride, "classes": classes, "last": int(stride == 4)}
        boxes |= {"threshold": threshold, "shift": -1, "region": Region.OUTPUT, "wait_previous": 1}
        listed += [(Opcode.LOAD, moved | {"signal_next": 1}), (Opcode.BOXES, boxes)]
        source, chip = source + aligned(maps), chip + planes * places
    made = tuple(Descriptor(opcode=opcode, values=values) for opcode, values in (*listed, (Opcode.END, {})))
    program = Program(fingerprint=params.fingerprint, descriptors=made).pack()
    contents = {
        Region.PROGRAM: program,
        Region.INPUT: source,
        Region.OUTPUT: bytes(RECORD.size * (params.nms.capacity + 1)),
    }
    return {region: np.frombuffer(content, np.uint8).copy() for region, content in contents.items()}
