"""What is fixed when an engine is generated: the array, its memories, the decoder, the bus and the box unit."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from roundel.golden.activation import ActivationParams
from roundel.golden.codec import DecoderParams, Packing
from roundel.golden.engine.registers import RECORD
from roundel.golden.mac import MacParams, Structure
from roundel.golden.nms import Form, Suppression, suppression_of
from roundel.golden.parameters import Params, check_bool, check_integer, plain
from roundel.golden.requant import RequantParams, Scheme
from roundel.golden.rounding import Rounding

SCHEMES = (Scheme.SHIFT, Scheme.FIXED8, Scheme.FIXED16, Scheme.FIXED32, Scheme.FLOAT32)
RESULT_WIDTH = 9  # bits of a result before it becomes a byte: both 0 to 255 and -128 to 127
HEADS = ("priors", "product", "softmax", "dfl", "centre", "corners")
"""What a box unit may know beside the plain head."""
MOST_SELECTING = 16  # lanes whose selector is one word of a parameter stream
USUAL_FIFO = 64  # words before the activation unit, where nothing else is asked for


@dataclass(frozen=True, kw_only=True)
class EngineParams(Params):
    """What is fixed when an engine is generated; all else stands in its program. docs/engine.md explains each.

    Parameters
    ----------
    lanes
        Products per column and beat, and bytes of a word of the activation memory: 4, 8, 16 or 32.
    columns
        Output channels side by side. Equal to `lanes`, so that an output word is an input word.
    depth
        Output positions whose partial sums the accumulator memory holds, 2 to 65536.
    reduction
        Largest number of products in one sum, 1 to 2**20.
    bias_width
        Bits of the aligned bias, 2 to 32.
    taps
        Taps that a depthwise layer multiplies in one beat, 1 to `lanes` and at most 16.
    structure
        How a column forms its sum of products, see `roundel.golden.mac.params.Structure`.
    scheme, rounding
        The requantizer behind every column. `None` stands for the scheme's own rounding.
    memory
        Bytes of the activation memory, a power of two, 1 KiB to 16 MiB.
    banks
        Memories that it is made of, neighbouring words in different ones: 2, 4 or 8.
    bus
        Bits of the AXI4 master's data: 64 or 128.
    burst
        Most beats of an AXI burst, a power of two, 1 to 256.
    outstanding
        Read bursts that may be on their way, 2 to 16.
    fifo
        Beats that each channel of the reader holds, a power of two, at least `burst`, up to 4096.
    packing, weight_width, slices
        The weight decoder, see `roundel.golden.codec.decoder.DecoderParams`: its lanes and bus are those of the engine.
    scales
        Whether a step's `scale` counts: else there is nothing that shifts sums of products.
    act_lanes
        Results that the activation unit works on in a cycle, a divisor of `columns`; 0: an engine without such a unit.
        Only with scheme `shift`.
    act_fifo
        Words that wait for the activation unit, a power of two, 16 to 4096. 0 stands for 64, and is what an engine
        without such a unit has whatever is given.
    gates
        Whether a depthwise COMPUTE can have its weights from the activation memory: a map times factors that the
        network makes.
    sums
        Whether the array's results are added up on their way into the activation memory, for means of whole maps.
    heads
        What the box unit knows beside the plain head: of `priors`, `product`, `softmax`, `dfl`, `centre` and
        `corners`, see docs/heads.md. All but `priors` bring it along.
    places
        Whether `index` of a record says where the box was found, as `PLACE` has it, instead of its number.
    beat_words
        Most words of the activation memory that a beat reads, each from another bank: 1, 2, 4 or 8, at most `banks`.
        Depthwise layers then take several rows of their kernel in a beat.
    select
        Whether lanes select among the words of a beat, for layers whose weights keep a pattern of channels. Only with
        `beat_words` of 2 or more.
    nms
        The suppression unit: `NmsParams`, `ExactParams`, or `TopKParams` for heads whose boxes do not suppress each
        other; or keyword arguments, of which `method` tells the kind. None: an engine without boxes.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    lanes: int = 8
    columns: int = 8
    depth: int = 512
    reduction: int = 16384
    bias_width: int = 29
    taps: int = 4
    structure: Structure = Structure.PRODUCT
    scheme: Scheme = Scheme.SHIFT
    rounding: Rounding = None  # type: ignore[assignment]  # filled in by scheme
    memory: int = 1 << 17
    banks: int = 4
    bus: int = 64
    burst: int = 16
    outstanding: int = 4
    fifo: int = 64
    packing: Packing = Packing.MASK
    weight_width: int = 8
    slices: int = 1
    scales: bool = True
    act_lanes: int = 0
    act_fifo: int = 0
    gates: bool = False
    sums: bool = False
    heads: tuple[str, ...] = ()
    places: bool = False
    beat_words: int = 1
    select: bool = False
    nms: Suppression | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.nms, Mapping):
            self._set(nms=suppression_of(self.nms))
        if self.nms is not None and not isinstance(self.nms, Suppression):
            raise TypeError(f"nms must be the parameters of a suppression unit or None, not {self.nms!r}")
        if self.scheme not in SCHEMES:
            raise ValueError(f"scheme must be one of {[scheme.value for scheme in SCHEMES]}, not {self.scheme.value}")
        if self.rounding is None:
            self._set(rounding=self.scheme.default_rounding)
        self._check_numbers()
        self._check_activation()
        self._check_boxes()
        _ = self.mac, self.decoder  # they check what is theirs

    def _check_numbers(self) -> None:
        for name in ("scales", "gates", "sums", "places", "select"):
            check_bool(name, getattr(self, name))
        ranges = {
            "lanes": (4, 32),
            "columns": (4, 32),
            "depth": (2, 1 << 16),
            "taps": (1, min(16, self.lanes if isinstance(self.lanes, int) else 16)),
            "memory": (1 << 10, 1 << 24),
            "banks": (2, 8),
            "beat_words": (1, self.banks if isinstance(self.banks, int) else 8),
            "bus": (64, 128),
            "burst": (1, 256),
            "outstanding": (2, 16),
            "fifo": (2, 4096),
        }
        for name, (low, high) in ranges.items():
            check_integer(name, getattr(self, name), low, high)
        for name in ("lanes", "memory", "banks", "beat_words", "bus", "burst", "fifo"):
            if getattr(self, name).bit_count() != 1:
                raise ValueError(f"{name} must be a power of two, not {getattr(self, name)}")
        if self.columns != self.lanes:
            raise ValueError(f"columns must equal lanes ({self.lanes}), so that an output word is an input word")
        if self.select and self.beat_words == 1:
            raise ValueError("select must be false where a beat has one word (beat_words=1)")
        if self.select and self.lanes > MOST_SELECTING:
            raise ValueError(f"select must be false with more than {MOST_SELECTING} lanes, not {self.lanes}")
        if self.fifo < self.burst:
            raise ValueError(f"fifo must hold a burst of {self.burst} beats, not {self.fifo}")

    def _check_activation(self) -> None:
        """Fill in the FIFO before the activation unit, and raise ValueError unless the unit can stand in the engine."""
        check_integer("act_lanes", self.act_lanes, 0, self.columns)
        check_integer("act_fifo", self.act_fifo, 0, 4096)
        if not self.act_lanes:
            self._set(act_fifo=0)
            return
        if self.columns % self.act_lanes:
            raise ValueError(f"act_lanes must divide columns ({self.columns}), not be {self.act_lanes}")
        if self.scheme is not Scheme.SHIFT:
            raise ValueError(f"act_lanes must be 0 with scheme {self.scheme.value}, not {self.act_lanes}")
        self._set(act_fifo=self.act_fifo or USUAL_FIFO)
        if self.act_fifo.bit_count() != 1 or self.act_fifo < 16:
            raise ValueError(f"act_fifo must be a power of two from 16 on, not {self.act_fifo}")

    def _check_boxes(self) -> None:
        """Raise ValueError unless the box unit can feed the suppression unit, and its records hold the boxes."""
        if isinstance(self.heads, str):
            self._set(heads=(self.heads,))
        if not isinstance(self.heads, tuple):
            raise TypeError(f"heads must be a list of {', '.join(HEADS)}, not {self.heads!r}")
        for name in self.heads:
            if name not in HEADS:
                raise ValueError(f"heads must be of {', '.join(HEADS)}, not {name!r}")
        self._set(heads=tuple(name for name in HEADS if name in self.heads))
        if self.nms is None:
            if self.heads:
                raise ValueError(f"heads must be empty in an engine without nms, not {', '.join(self.heads)}")
            if self.places:
                raise ValueError("places must be false in an engine without nms")
            return
        if self.nms.lanes != 1 or self.nms.format.form is not Form.CORNERS:
            raise ValueError("nms must take one box a beat (lanes=1) in the form `corners`")
        if getattr(self.nms, "tag_width", 0):
            raise ValueError("nms.tag_width must be 0 in an engine, whose `places` are the tags")
        widest = RECORD.width("x1")
        if self.nms.format.coordinate_width > widest:
            raise ValueError(f"nms must have coordinates of at most {widest} bits, those of a record")

    @classmethod
    def named(cls, config: str) -> "EngineParams":
        """Return the parameters of a named configuration: `tiny`, `small`, `medium` or `large`.

        Parameters
        ----------
        config
            Name of the configuration.

        Returns
        -------
        EngineParams
            All parameters, the NMS's included.

        Raises
        ------
        ValueError
            There is no such configuration.
        """
        if config not in CONFIGS:
            raise ValueError(f"config must be one of {', '.join(CONFIGS)}, not {config!r}")
        return cls(**CONFIGS[config])

    @property
    def words(self) -> int:
        """Words of `lanes` bytes in the activation memory."""
        return self.memory // self.lanes

    @property
    def bus_bytes(self) -> int:
        """Bytes of a beat of the AXI4 master; what rows in the outer memory are aligned to."""
        return self.bus // 8

    @property
    def mac(self) -> MacParams:
        """The array: 8-bit signed activations, and results of `RESULT_WIDTH` bits before the layer's own clamp."""
        return MacParams(
            lanes=self.lanes,
            columns=self.columns,
            depth=self.depth,
            act_width=8,
            act_signed=True,
            weight_width=self.weight_width,
            reduction=self.reduction,
            bias_width=self.bias_width,
            structure=self.structure,
            requant=RequantParams(scheme=self.scheme, out_width=RESULT_WIDTH, out_signed=True, rounding=self.rounding),
        )

    @property
    def activation(self) -> ActivationParams | None:
        """The activation unit behind the requantizers; None in an engine without one."""
        if not self.act_lanes:
            return None
        return ActivationParams(columns=self.columns, lanes=self.act_lanes, pipeline=True)

    @property
    def decoder(self) -> DecoderParams:
        """The weight decoder."""
        return DecoderParams(
            packing=self.packing, bus=self.bus, lanes=self.lanes, width=self.weight_width, slices=self.slices
        )

    def contract(self) -> dict[str, Any]:
        """Return what programs and memory maps depend on, as plain values; docs/engine.md says why each is in it.

        Left out is what changes only how long a program takes: `structure`, `banks`, `burst`, `outstanding`, `fifo`,
        `act_fifo`, of `act_lanes` all but whether there are any, and of `reduction` all but the accumulator's width.

        Returns
        -------
        dict
            Plain values by name; `nms` is None without one; `activation`, `gates`, `sums`, `places` and `select` are
            left out unless true, and so are empty `heads` and a `beat_words` of 1.
        """
        names = ("lanes", "columns", "depth", "bias_width", "taps", "memory", "bus", "weight_width", "slices", "scales")
        values: dict[str, Any] = {name: getattr(self, name) for name in names}
        values |= {name: plain(getattr(self, name)) for name in ("scheme", "rounding", "packing")}
        values["acc_width"] = self.mac.acc_width
        if self.act_lanes:
            values["activation"] = True
        if self.gates:
            values["gates"] = True
        if self.sums:
            values["sums"] = True
        if self.beat_words > 1:
            values["beat_words"] = self.beat_words
        if self.select:
            values["select"] = True
        if self.heads:
            values["heads"] = list(self.heads)
        if self.places:
            values["places"] = True
        return values | {"nms": None if self.nms is None else self.nms.contract()}

    @property
    def fingerprint(self) -> int:
        """32 bits that programs carry, so that an engine runs only those made for its own sizes.

        The CRC-32 (that of zlib and Ethernet) of `contract` as canonical JSON: ASCII, keys sorted, no spaces.
        """
        return zlib.crc32(json.dumps(self.contract(), sort_keys=True, separators=(",", ":")).encode())

    def derived(self) -> dict[str, Any]:
        """Return what follows from the parameters, for the manifest."""
        sizes: dict[str, Any] = {"words": self.words, "acc_width": self.mac.acc_width, "fingerprint": self.fingerprint}
        return sizes | ({} if self.nms is None else {"nms": self.nms.derived()})


_BOXES: dict[str, Any] = {
    "format": {"width": 96, "height": 96, "fraction": 2, "score_width": 8, "classes": 10},
    "method": "guarded",
    "areas": (100.0, 400.0, 1600.0),
    "ratios": (1.0,),
    "alpha": 1.5,
    "guard": 0.3,
    "stride": 8,
    "class_key": True,
    "lanes": 1,
    "capacity": 256,
}


def _row(lanes: int, *values: Any) -> dict[str, Any]:
    """Return a row of the table: every parameter."""
    names = [item.name for item in fields(EngineParams)]
    return dict(zip(names, (lanes, lanes, *values), strict=True))


_SHARED: tuple[Any, ...] = ("mask", 8, 1, True, 0, 0, False, False, (), False, 1, False, _BOXES)
_GATED: tuple[Any, ...] = (*_SHARED[:-7], True, True, (), False, 4, False, _BOXES)

CONFIGS: dict[str, dict[str, Any]] = {
    # name: lanes = columns, depth, reduction, bias_width, taps, structure, scheme, rounding,
    #       memory, banks, bus, burst, outstanding, fifo, packing, weight_width, slices, scales,
    #       act_lanes, act_fifo, gates, sums, heads, places, beat_words, select, nms
    "tiny": _row(4, 256, 16384, 29, 4, "product", "shift", "half_up", 1 << 15, 4, 64, 16, 4, 64, *_SHARED),
    "small": _row(8, 512, 16384, 29, 4, "product", "shift", "half_up", 1 << 17, 4, 64, 16, 4, 64, *_SHARED),
    "medium": _row(16, 1024, 16384, 29, 12, "product", "shift", "half_up", 1 << 19, 4, 128, 16, 4, 64, *_GATED),
    "large": _row(32, 1024, 16384, 29, 12, "product", "shift", "half_up", 1 << 21, 4, 128, 16, 8, 64, *_GATED),
}
"""The named configurations, every parameter of each."""
