"""Weight streams of an integer network: one per weighted layer, in the order in which the array reads the weights."""

from dataclasses import dataclass

import numpy as np

from roundel.golden.codec import CodecParams, Packing, encode
from roundel.golden.mac import weight_beats
from roundel.golden.network import Network, Weighted
from roundel.golden.parameters import Params, check_integer, choice
from roundel.golden.rounding import Ints
from roundel.ui import Done

MAX_WIDTH = 8  # of a code


@dataclass(frozen=True, kw_only=True)
class StreamOptions(Params):
    """Format of the weight streams, and size of the array that reads them.

    Parameters
    ----------
    packing
        Format of the streams, see `roundel.golden.codec.params.Packing`.
    lanes, columns
        Size of the array: 4, 8, 16 or 32 lanes, 1 to 64 columns.
    slices
        Parts of a `rice` stream that decode in parallel; the other formats have one.

    Raises
    ------
    TypeError, ValueError
        A value of the wrong kind or out of range.
    """

    packing: Packing = Packing.RICE
    lanes: int = 16
    columns: int = 16
    slices: int = 4

    def __post_init__(self) -> None:
        self._set(packing=choice(Packing, "codec", self.packing))
        super().__post_init__()
        check_integer("columns", self.columns, 1, 64)
        self.codec(width=4)

    def codec(self, *, width: int) -> CodecParams:
        """Return the parameters that a stream of codes of `width` bits is made with."""
        slices = self.slices if self.packing is Packing.RICE else 1
        return CodecParams(packing=self.packing, width=width, lanes=self.lanes, slices=slices)


@dataclass(frozen=True, kw_only=True)
class LayerStream:
    """The weights of one layer, packed.

    Attributes
    ----------
    layer
        Its name.
    data
        The stream, header included.
    weights, nonzero
        Weights of the layer, and how many of them are not zero.
    blocks, zero_blocks
        Weight blocks (`lanes` products of `columns` channels each) that the array loads, and how many of them hold
        nothing but zeros.
    """

    layer: str
    data: bytes
    weights: int
    nonzero: int
    blocks: int
    zero_blocks: int

    @property
    def bits_per_weight(self) -> float:
        """Bits of the stream per weight of the layer; the zeros that pad the edges of the array are not counted."""
        return 8 * len(self.data) / self.weights


def has_stream(layer: Weighted) -> bool:
    """Whether there is a format for its weights, which files quantized elsewhere may have too wide."""
    return layer.w.width <= MAX_WIDTH


def array_order(layer: Weighted, options: StreamOptions) -> Ints:
    """(beats, lanes): the layer's weights in the array's order (`weight_beats`), group by group.

    Weights that a stream can hold come in 8 bits.
    """
    outputs = layer.weights.shape[1] // layer.groups
    width = -(-outputs // options.columns) * options.columns  # of a group, with zeros that end its last block
    kind = np.int8 if has_stream(layer) else np.int64
    groups = np.zeros((len(layer.weights), layer.groups, width), kind)
    groups[:, :, :outputs] = layer.weights.reshape(-1, layer.groups, outputs)
    return weight_beats(groups.reshape(len(groups), -1), lanes=options.lanes, columns=options.columns)


def layer_stream(layer: Weighted, options: StreamOptions) -> LayerStream:
    """Return the stream of one layer: of all that the format leaves open the shortest."""
    beats = array_order(layer, options)
    used = np.asarray(beats.reshape(-1, options.columns * options.lanes).any(axis=1))
    return LayerStream(
        layer=layer.name,
        data=encode(beats, options.codec(width=layer.w.width)),
        weights=layer.weights.size,
        nonzero=int(np.count_nonzero(layer.weights)),
        blocks=len(used),
        zero_blocks=int((~used).sum()),
    )


def network_streams(
    network: Network, options: StreamOptions, done: Done = lambda name: None
) -> tuple[LayerStream, ...]:
    """Return the streams of all weighted layers that have one (`has_stream`), in dataflow order.

    Parameters
    ----------
    network
        Network whose weights are packed.
    options
        Format of the streams, and size of the array.
    done
        Called with each layer's name after its stream.
    """
    streams = []
    for layer in filter(has_stream, network.weighted):
        streams.append(layer_stream(layer, options))
        done(layer.name)
    return tuple(streams)
