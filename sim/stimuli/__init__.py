"""What benches, synth and roundel drive units with; no cocotb in it."""

from roundel.sim.stimuli.activation import activation_members, corner_words, expected_bytes, random_layer
from roundel.sim.stimuli.decoder import (
    bounded,
    codec_params,
    foreign,
    long_runs,
    misheaded,
    mutated,
    resized,
    sound,
    weights,
)
from roundel.sim.stimuli.naive_decoder import sound_weights
from roundel.sim.stimuli.nms import (
    BoxImage,
    apart,
    beats,
    clusters,
    equal_sizes,
    floods,
    image_of,
    members,
    on_edges,
    one_place,
    scenarios,
    tags,
)
from roundel.sim.stimuli.payload import FRAME, Member, pack, unpack
from roundel.sim.stimuli.requant import ACC_WIDTH, combinations

__all__ = [
    "ACC_WIDTH",
    "FRAME",
    "BoxImage",
    "Member",
    "activation_members",
    "apart",
    "beats",
    "bounded",
    "clusters",
    "codec_params",
    "combinations",
    "corner_words",
    "equal_sizes",
    "expected_bytes",
    "floods",
    "foreign",
    "image_of",
    "long_runs",
    "members",
    "misheaded",
    "mutated",
    "on_edges",
    "one_place",
    "pack",
    "random_layer",
    "resized",
    "scenarios",
    "sound",
    "sound_weights",
    "tags",
    "unpack",
    "weights",
]
