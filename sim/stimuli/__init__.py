"""What benches, synth and roundel drive units with; no cocotb in it."""

from roundel.sim.stimuli.decoder import (
    bounded,
    codec_params,
    foreign,
    long_runs,
    misheaded,
    mutated,
    resized,
    sound,
    sound_weights,
    weights,
)
from roundel.sim.stimuli.nms import BoxImage, beats, clusters, equal_sizes, image_of, members, on_edges, scenarios
from roundel.sim.stimuli.payload import Member, pack, unpack
from roundel.sim.stimuli.requant import ACC_WIDTH, combinations

__all__ = [
    "ACC_WIDTH",
    "BoxImage",
    "Member",
    "beats",
    "bounded",
    "clusters",
    "codec_params",
    "combinations",
    "equal_sizes",
    "foreign",
    "image_of",
    "long_runs",
    "members",
    "misheaded",
    "mutated",
    "on_edges",
    "pack",
    "resized",
    "scenarios",
    "sound",
    "sound_weights",
    "unpack",
    "weights",
]
