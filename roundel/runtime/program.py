"""A network compiled for an engine: made, written with all that it was made from, and read again."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from roundel.compiler import Compiled, Head, compile_network, heads_of, listing, memory_map
from roundel.compression import PARTS, chain_lines
from roundel.detection import Detector, written
from roundel.golden.engine import EngineParams
from roundel.golden.errors import InputError
from roundel.golden.network import save
from roundel.golden.parameters import plain
from roundel.runtime.engine_source import EngineSource, engine_choice, read_engine
from roundel.runtime.source import NETWORK, HeadSource, NetworkSource, Shape, Source, network_source
from roundel.ui import Grid, Result, path_of, shortened, toml_lines, write_json

BINARY, HEAD, ENGINE = "program.bin", "detector.toml", "engine.toml"
COLUMNS = ("layer", "computes", "macs", "steps", "steps_dense", "loaded", "stored", "weights", "parameters")


@dataclass(frozen=True, kw_only=True, eq=False)
class EngineProgram(Result):
    """A program of the engine.

    Attributes
    ----------
    source
        The integer network that it runs.
    detector
        How boxes come out of the network's results; None: the program ends in the results.
    compiled
        Descriptors, regions and tensors.
    trace
        Whether the program stores every layer's result.
    others
        The programs of other parts on the engine, by their places in the chain of `source`.
    without_head
        Why the program does not end in the boxes of the network's own head; empty if it does, or there is none.
    """

    OPTIONAL: ClassVar[tuple[str, ...]] = (HEAD, PARTS)

    source: Source
    detector: Detector | None
    compiled: Compiled = field(repr=False)
    trace: bool
    others: Mapping[str, "EngineProgram"] = field(default_factory=dict, repr=False)
    without_head: str = ""

    @property
    def params(self) -> EngineParams:
        """The engine that it is for."""
        return self.compiled.params

    def as_dict(self) -> dict[str, Any]:
        """Give the memory map, which is all that a driver needs beside `program.bin`."""
        return memory_map(self.compiled)

    def tables(self) -> Iterable[Grid]:
        """Give the products and the traffic of every layer."""
        cells = [[str(row[name]) for name in COLUMNS] for row in self.as_dict()["layers"]]
        yield Grid(f"{Path(self.source.file).name}, {self.params.lanes} lanes", COLUMNS, shortened(cells))

    def lines(self) -> Iterable[str]:
        """Give the size of the program."""
        yield f"{len(self.compiled.program.descriptors)} descriptors, {len(self.compiled.image)} bytes"
        if settings := _unusual(self.params):
            yield f"for an engine with {' and '.join(settings)}"
        if self.detector is not None:
            nms = self.params.nms
            assert nms is not None
            heads = f", heads {', '.join(self.params.heads)}" if self.params.heads else ""
            yield f"ends in boxes: nms of method {nms.method}, capacity {nms.capacity}{heads} ({ENGINE})"
        if further := _further(self.as_dict()["layers"]):
            yield further
        if self.without_head:
            yield f"ends in the network's results, not in boxes: {self.without_head}"
        for place, program in self.others.items():
            yield f"{place}: {', '.join(program.lines())}"
        if self.source.chain is not None:
            yield from chain_lines(self.source.chain.as_dict())

    def write(self, folder: Path) -> None:
        """Write `program.bin`, `memory_map.json`, `program.lst`, and what `load` compiles again."""
        (folder / BINARY).write_bytes(self.compiled.image)
        write_json(folder / "memory_map.json", self.as_dict())
        (folder / "program.lst").write_text(listing(self.compiled), encoding="utf-8")
        (folder / ENGINE).write_text("\n".join(self._engine_lines()) + "\n", encoding="utf-8")
        source = self.source
        meta = {"input_shape": list(source.shape), "results": dict(source.results), "trace": self.trace}
        meta |= {"calibration": source.calibration.as_dict()} if source.calibration else {}
        save(source.network, folder / NETWORK, meta)
        if self.detector:
            (folder / HEAD).write_text(self.detector.text or written(self.detector), encoding="utf-8")
        if source.chain is not None:
            source.chain.write(folder)
        for place, program in self.others.items():
            (folder / place).mkdir(parents=True)
            program.write(folder / place)

    def _engine_lines(self) -> Iterator[str]:
        """Give the lines of `engine.toml`: the engine's parameters, all of them."""
        yield f"# The engine of {Path(self.source.file).parent.name or 'a network'}; docs/engine.md explains it."
        yield "# roundel generate engine --engine engine.toml -o verilog"
        yield from toml_lines(self.params.as_dict())

    @classmethod
    def load(cls, folder: str | Path) -> "EngineProgram":
        """Read a folder that `save` wrote: the network is compiled again, and must give the same program.

        Parameters
        ----------
        folder
            What `save` was given.

        Returns
        -------
        EngineProgram
            The same program.

        Raises
        ------
        InputError
            A file is missing or damaged, or the program is another one.
        """
        path = path_of("folder", folder)
        try:
            image = (path / BINARY).read_bytes()
        except OSError as error:
            raise InputError(f"{folder}: expected a program that `roundel compile` wrote: {error}") from None
        engine = EngineParams.from_dict(read_engine(path / ENGINE))
        head = path / HEAD if (path / HEAD).is_file() else False
        for trace in (False, True):
            program = compile(path, engine, head=head, trace=trace)
            if program.compiled.image == image:
                for place, other in program.others.items():
                    _check_same(path / place, other)
                return program
        raise InputError(f"{path / BINARY}: is not what {path / NETWORK} compiles to: compile the network again")


def _check_same(folder: Path, program: EngineProgram) -> None:
    """Raise InputError unless the folder of a part holds a program."""
    try:
        image = (folder / BINARY).read_bytes()
    except OSError as error:
        raise InputError(f"{folder / BINARY}: cannot be read ({error.strerror})") from None
    if image != program.compiled.image:
        raise InputError(f"{folder / BINARY}: is not what {folder / NETWORK} compiles to: compile the network again")


def compile(
    network: NetworkSource,
    engine: EngineSource = "small",
    *,
    shape: Shape | None = None,
    head: HeadSource | bool = True,
    trace: bool = False,
) -> EngineProgram:
    """Compile an integer network for an engine.

    Parameters
    ----------
    network
        A compressed network, the folder that it was saved to, a network file, or an integer network.
    engine
        `tiny`, `small`, `medium`, `large`; the path of a file that `generate` or `compile` wrote; settings over a
        configuration, as in `{"config": "small", "bus": 128}`; or `EngineParams`. A configuration gets the network's
        scheme and rounding, unless settings state them.
    shape
        (rows, columns, channels) of an image, or (features,), where the network does not say it.
    head
        A detector, or its file: the program ends in boxes. The engine gets the detector's NMS and the forms of its
        heads; a file or settings that state another NMS are refused. True: that of the network, if it has one that the
        box unit decodes; False: none, the program ends in the results.
    trace
        Store every layer's result.

    Returns
    -------
    EngineProgram
        The program with its memory map; `save(folder)` writes both.

    Raises
    ------
    InputError
        A file is missing or damaged, or the engine cannot run a layer: one line that names it.

    Examples
    --------
    >>> import roundel
    >>> from roundel.data import DIGITS
    >>> small = roundel.compress(DIGITS / "digits.onnx", DIGITS / "calibration.npz")
    >>> program = roundel.compile(small, "tiny")
    >>> sorted(program.as_dict()["outputs"])
    ['dense']
    """
    if not isinstance(trace, bool):
        raise InputError(f"trace: expected True or False, not {trace!r}")
    source, chosen = network_source(network, shape), engine_choice(engine)
    detector, heads, why = _head(source, head)
    network = source.with_peaks(detector).network
    if not isinstance(engine, EngineParams):
        chosen = chosen.with_requantizer(network).with_units(network)
    params = chosen.with_boxes(detector).params
    compiled = compile_network(network, source.engine_shape, params, heads=heads, trace=trace)
    others = {
        place: EngineProgram(
            source=other,
            detector=None,
            compiled=compile_network(other.network, other.engine_shape, params, trace=trace),
            trace=trace,
        )
        for place, other in source.others.items()
    }
    return EngineProgram(
        source=source, detector=detector, compiled=compiled, trace=trace, others=others, without_head=why
    )


def _head(source: Source, head: HeadSource | bool) -> tuple[Detector | None, tuple[Head, ...], str]:
    """Return the detector that a program ends in, its heads, and why not that of the network, if it has one."""
    if head is False:
        return None, (), ""
    detector = source.detector(None if head is True else head)
    if detector is None:
        return None, (), ""
    try:
        return detector, heads_of(detector, source.network, source.results), ""
    except InputError as error:
        if head is not True:
            raise
        return None, (), str(error)


def _further(layers: Iterable[Mapping[str, Any]]) -> str:
    """Return how many steps weights beyond the usual digits, or a pattern, take; empty if none."""
    counts = {row["layer"]: row["steps_further"] for row in layers if row["steps_further"]}
    total = sum(counts.values())
    return f"steps for weights beyond the usual digits and patterns: {total}, in {len(counts)} layers" if counts else ""


def _unusual(params: EngineParams) -> list[str]:
    """Return what of an engine follows the network's layers and is not the usual, as settings."""
    usual, names = EngineParams(), list[str]()
    if (params.scheme, params.rounding) != (usual.scheme, usual.rounding):
        names += ["scheme", "rounding"]
    names += [name for name in ("act_lanes", "gates") if getattr(params, name)]
    return [f"{name}={plain(getattr(params, name))}".lower() for name in names]
