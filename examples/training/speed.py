"""What an image costs on the engine, by the cycle model: programs of the networks, and what their weights allow.

The build is that of a task with arrays of 4 bits, that reads four words of eight banks in a beat and selects.
"""

from dataclasses import replace

from roundel.compiler import compile_network
from roundel.compiler.cycles import predicted_layers
from roundel.golden.engine import EngineParams
from roundel.golden.network import Network, Weighted
from roundel.golden.opq import ChannelPattern

ARRAY_BITS = 4


def build(config: str) -> EngineParams:
    """The engine that all networks of a task are compiled for."""
    return replace(EngineParams.named(config), weight_width=ARRAY_BITS, banks=8, beat_words=4, select=True)


def cycles(network: Network, config: str, shape: tuple[int, ...]) -> tuple[dict[str, int], int]:
    """Cycles in which the array multiplies, by layer, and all from start to done, loads and stores included."""
    rows, whole = predicted_layers(compile_network(network, shape, build(config)))
    return {row.layer: row.compute for row in rows}, whole


def bound(network: Network, dense: dict[str, int], bits: int, pattern: ChannelPattern | None) -> float:
    """How many times fewer cycles the array needs if every layer takes the fewest digits and planes that there are.

    Parameters
    ----------
    network
        The network with a pattern and few bits.
    dense
        Cycles in which the array multiplies of the dense network of 8 bits, by layer.
    bits, pattern
        Of the weights; without a pattern all channels count.
    """
    least = 0.0
    for layer in network.layers:
        now = dense.get(layer.name, 0)
        if isinstance(layer, Weighted):
            digits = -(-bits // ARRAY_BITS) / -(-8 // ARRAY_BITS)
            taps = 1 if layer.window is None else layer.window.taps
            least += now * digits * (_planes(len(layer.weights) // taps, pattern) if layer.groups == 1 else 1)
        else:
            least += now
    return sum(dense.values()) / least


def _planes(channels: int, pattern: ChannelPattern | None) -> float:
    """The part of the planes of so many channels that a pattern leaves."""
    if pattern is None or not pattern.suits(channels):
        return 1.0
    planes = -(-channels // pattern.lanes)
    return -(-planes // pattern.words) / planes
