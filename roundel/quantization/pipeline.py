"""Joint quantization: a float network becomes an integer one, module by module in dataflow order.

[P] unified modules, fractional bits of weights and activations chosen jointly; [R] how: for each module the triple
(N_w, N_b, N_o) that minimises `||O - O_q||^2` on calibration images *as already quantized by the modules before it*, in
a window of a few bits around the maximum-magnitude estimate. docs/quantization.md is the normative text.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError
from roundel.golden.formats import Format
from roundel.golden.network import Concat, Encoding, Layer, Network, Requantized, Weighted
from roundel.golden.rounding import Rounding
from roundel.graph import Add, Graph, PRelu, Quantize, Reals, filled, fold
from roundel.quantization.calibration import Codes, RealTensors, steps_in_batches
from roundel.quantization.cure_rows import Cure, CureRow, cure_rows
from roundel.quantization.function_lowering import function_values, residual_fits
from roundel.quantization.function_tables import FunctionRow, Untabled
from roundel.quantization.given import Given, check_powers, given_weights
from roundel.quantization.module_lowering import ModuleLowering
from roundel.quantization.modules import Module, input_quantizers, unify
from roundel.quantization.quantizers import encoding_of, file_format, given_format, input_format
from roundel.quantization.scaled import ScaledLowering
from roundel.quantization.search import MOST_ERROR, QuantizeOptions, search_input, squared_error, sum_of_squares
from roundel.quantization.sqnr import sqnr_db
from roundel.quantization.ties import copies, tied_formats
from roundel.ui import Progress, silent

__all__ = ["Choice", "Given", "QuantizeOptions", "Quantized", "quantize"]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The formats chosen for one module, and their error on the calibration images.

    Parameters
    ----------
    name
        The module.
    n_x, n_w, n_b, n_o
        Fractional bits of input, weights, bias and output; None for what the module does not have. Where channels
        differ, `n_w` is the least of them.
    n_w_most
        The greatest N_w of any channel; None without weights.
    shift
        The requantizer's shift; of channels that differ the least. Where scales are kept, only a part of its factor.
    requant, scale, zero_point
        The requantizer; scale and zero point of its output.
    error
        `||O - O_q||^2` over all calibration images.
    sqnr_db
        `10 log10(||O||^2 / error)`; infinite without error (`roundel.quantization.sqnr`).
    """

    name: str
    n_x: int
    n_w: int | None
    n_w_most: int | None = None
    n_b: int | None
    n_o: int
    shift: int
    requant: str
    scale: float
    zero_point: int
    error: float
    sqnr_db: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantized:
    """The result of quantization.

    Attributes
    ----------
    network
        The integer network.
    modules
        Modules behind its layers, in dataflow order.
    choices
        Choices for the modules that have a requantizer, in the same order.
    functions
        Functions of one value behind layers, with the errors of their tables, in the same order.
    cures
        What each cure that was asked for did for the layers.
    results
        The layer behind each of the graph's results, by tensor.
    notes
        What a user should know of the layers, a sentence each.
    """

    network: Network
    modules: tuple[Module, ...]
    choices: tuple[Choice, ...]
    results: Mapping[str, str]
    notes: tuple[str, ...] = ()
    functions: tuple[FunctionRow, ...] = ()
    cures: tuple[CureRow, ...] = ()


def quantize(
    graph: Graph,
    images: NDArray[Any],
    options: QuantizeOptions | None = None,
    progress: Progress = silent,
    given: Mapping[str, Given] = MappingProxyType({}),
    focus: Mapping[str, NDArray[np.bool_]] = MappingProxyType({}),
) -> Quantized:
    """Quantize `graph`.

    Parameters
    ----------
    graph
        The float network.
    images
        Calibration images as the network takes them, (batch, *graph.shape).
    options
        Options of the quantization.
    progress
        Told of every module.
    given
        Weights that are integers already, by module; those of which the network itself says so need not be named.
    focus
        Where a result counts, (images, rows, columns), by tensor: formats are chosen there alone. Elsewhere it may be
        out of range.

    Raises
    ------
    InputError
        Images of another shape or not finite, a network that has no integer form here, or options or weights for a
        module that there is not.
    Untabled
        Functions that the activation unit cannot do there, all of them: an InputError of the first.
    """
    options = options or QuantizeOptions()
    exact = options.rounding is None
    options = replace(options, rounding=options.rounding or usual_rounding(graph))
    if images.shape[1:] != graph.shape or not len(images) or not np.isfinite(images).all():
        expected = f"finite numbers of shape (count, {', '.join(map(str, graph.shape))})"
        raise InputError(f"calibration images: expected {expected}, not {images.shape}")
    graph = filled(fold(graph), float(np.abs(images).max()))
    if not options.scaled:
        check_powers(graph)
    modules = unify(graph, residuals=not options.scaled)
    _check_functions(graph, modules, options)
    results = _results(graph, modules)
    counted = {results[tensor]: np.flatnonzero(places) for tensor, places in focus.items()}
    _check_names(graph, modules, {"module_bits": options.module_bits, "given": given})
    given = given if options.scaled else {**given_weights(graph), **given}
    lowering = ScaledLowering if options.scaled else ModuleLowering
    real = RealTensors(graph, images, modules)
    tied = tied_formats(graph, modules, images, options)
    flow = _Flow(graph, images, modules, *_input(graph, images, options))
    choices: list[Choice] = []
    notes: list[str] = []
    functions: list[FunctionRow] = []
    cures: list[Cure] = []
    done, missing = list[Module](), _Missing()
    waiting = deque(modules)
    with progress("joint search", len(modules)) as step:
        while waiting:
            module = waiting.popleft()
            before, reference = real.before(module), real.of(module.tensor)
            if module.adds_behind and not flow.adds(graph, module, reference, before, tied.get(module.tensor)):
                real.keep(module.tensor, reference)
                apart, total = flow.parted(module)
                waiting = deque([apart, total, *(renamed(later, apart.name, total.name) for later in waiting)])
                continue
            real.release(module)
            done.append(module)
            inputs = flow.inputs(module)
            asked = options
            if not reference.any():  # all candidates are as good: the estimates, not the first ones
                asked = replace(asked, window=0)
            lowered = lowering(
                graph, module, inputs, reference, asked, given.get(module.name), exact, before,
                focus=counted.get(module.name),
            )  # fmt: skip
            lowered, layer = missing.lowered(lowered, tied.get(module.tensor))
            notes += lowered.notes
            functions += lowered.functions
            cures += lowered.cures
            for copied in lowered.copies:
                inputs[-1] = flow.copied(copied, inputs[-1])
            error = flow.run(layer, inputs, reference)
            if isinstance(layer, Requantized | Concat):
                choices.append(_choice(layer, inputs[0][1], error, reference))
            step(module.name)
    missing.check()
    notes += copies(flow.layers)
    results = _results(graph, tuple(done))
    last = tuple(dict.fromkeys(results.values()))
    network = Network(
        source=graph.source, input=flow.input, layers=tuple(flow.layers), results=last, encoding=flow.encoding
    )
    return Quantized(
        network=network, modules=tuple(done), choices=tuple(choices), results=results, notes=tuple(notes),
        functions=tuple(functions), cures=cure_rows(cures),
    )  # fmt: skip


class _Flow:
    """The integer network as far as it is made, and what it gives on the calibration images."""

    def __init__(
        self, graph: Graph, images: NDArray[Any], modules: tuple[Module, ...], form: Format, encoding: Encoding
    ) -> None:
        self.input, self.encoding = form, encoding
        self.layers: list[Layer] = []
        self._reads = Counter(name for module in modules for name in module.sources)
        encoded = Network(source=graph.source, input=form, layers=(), encoding=encoding).encode(images)
        self._values: dict[str, tuple[Codes, Format]] = {graph.source: (form.narrow(encoded), form)}

    def adds(
        self, graph: Graph, module: Module, reference: Reals, before: tuple[float, float], tied: Format | None
    ) -> bool:
        """Whether an activation unit can add the last source of a module behind its function."""
        assert module.function is not None
        given = function_values(module.function, before)
        quantizer = module.quantizer
        form = given_format(graph, quantizer, module.activation)[0] if quantizer else tied
        return residual_fits(reference, given, module.activation.signed, self._values[module.sources[-1]][1], form)

    def parted(self, module: Module) -> tuple[Module, Module]:
        """Return a module without what it adds behind its function, and the sum as a module of its own."""
        place = next(place for place, node in enumerate(module.nodes) if isinstance(node, Add))
        add, *others = module.sources[::-1]
        first = Module(nodes=module.nodes[:place], sources=tuple(others[::-1]))
        last = Module(nodes=module.nodes[place:], sources=(first.name, add))
        self._reads[last.name], self._reads[first.name] = self._reads[first.name], 1
        return first, last

    def inputs(self, module: Module) -> list[tuple[Codes, Format]]:
        """Return what a module reads, and forget it if no later one does."""
        values = [self._values[name] for name in module.sources]
        self._reads.subtract(module.sources)
        for name in set(module.sources):
            if not self._reads[name]:
                del self._values[name]
        return values

    def copied(self, layer: Layer, source: tuple[Codes, Format]) -> tuple[Codes, Format]:
        """Append a layer that copies a source to another format, run it, and return what it gives."""
        codes = np.empty(source[0].shape, layer.output.storage)
        for part, step in steps_in_batches(layer, [source[0]]):
            codes[part] = step.results
        self.layers.append(layer)
        return codes, layer.output

    def run(self, layer: Layer, inputs: list[tuple[Codes, Format]], reference: Reals) -> float:
        """Append a layer, run it, and give its `||O - O_q||^2`."""
        outputs, error = np.empty(reference.shape, layer.output.storage), 0.0
        for part, step in steps_in_batches(layer, [codes for codes, _ in inputs]):
            outputs[part] = step.results
            error += squared_error(step.results, layer.output, reference[part])
        self.layers.append(layer)
        if self._reads[layer.name]:
            self._values[layer.name] = outputs, layer.output
        return error


class _Missing:
    """Functions without a table so far. The search goes on with tables of any error, to find all of them."""

    def __init__(self) -> None:
        self._found: list[Untabled] = []

    def lowered(self, lowering: ModuleLowering, tied: Format | None) -> tuple[ModuleLowering, Layer]:
        """Lower a module, as `_lowered` does."""
        try:
            return _lowered(lowering, tied)
        except Untabled as error:
            self._found.append(error)
        try:
            options = replace(lowering.options, activation_error=MOST_ERROR)
            return _lowered(replace(lowering, options=options, notes=[], copies=[], functions=[], cures=[]), tied)
        except InputError:
            self.check()
            raise

    def check(self) -> None:
        """Raise Untabled for all of them, if there are any."""
        if self._found:
            nodes = {name: why for error in self._found for name, why in error.nodes.items()}
            raise Untabled(str(self._found[0]), nodes)


def _lowered(lowering: ModuleLowering, tied: Format | None) -> tuple[ModuleLowering, Layer]:
    """Return a layer in the format that its result is tied to, in one of its own where it cannot have that."""
    if tied is not None:
        apart = replace(lowering, tied=tied, notes=[], copies=[], functions=[], cures=[])
        try:
            return apart, apart.layer()
        except InputError:  # as for a function whose table does not reach so far: a copy joins it
            pass
    return lowering, lowering.layer()


def renamed(module: Module, before: str, after: str) -> Module:
    """Return a module that reads a source by another name."""
    return replace(module, sources=tuple(after if name == before else name for name in module.sources))


def _input(graph: Graph, images: NDArray[Any], options: QuantizeOptions) -> tuple[Format, Encoding]:
    """Return the format of the network's input, and how images are encoded."""
    quantizers = input_quantizers(graph)
    if not quantizers:
        return search_input(images, replace(options, activation_bits=options.bits_after(graph.source))), Encoding()
    quantizer = quantizers[0]
    form = file_format(graph, quantizer) if options.scaled else input_format(graph, quantizer)
    return form, encoding_of(quantizer, form)


def usual_rounding(graph: Graph) -> Rounding:
    """Return the rounding of the requantizers of a network for which the user chose none."""
    quantized = any(isinstance(node, Quantize) for node in graph.nodes)
    return Rounding.HALF_EVEN if quantized else Rounding.HALF_UP


def _results(graph: Graph, modules: tuple[Module, ...]) -> dict[str, str]:
    """Return the modules whose results are the network's, in the order of the graph's results, by tensor."""
    made_by = {node.output: module.name for module in modules for node in module.nodes}
    for tensor in graph.results:
        if tensor not in made_by:
            name = next((name for name, behind in graph.names.items() if behind == tensor), tensor)
            raise InputError(f"{graph.file}: output {name}: expected at least one layer before it")
    return {tensor: made_by[tensor] for tensor in graph.results}


def _check_functions(graph: Graph, modules: tuple[Module, ...], options: QuantizeOptions) -> None:
    """Raise Untabled for functions that need a table, where requantizers do not shift."""
    nodes = {}
    for node in (module.function for module in modules if options.scaled):
        if node is not None:
            what = "PRelu" if isinstance(node, PRelu) else node.function.name
            nodes[node.name] = (
                f"{node.name}: {what} needs an activation unit, which stands behind shifts alone: expected --requant "
                f"shift (with --refit for scales that are no powers of two), not {options.requant.value}"
            )
    if nodes:
        raise Untabled(f"{graph.file}: node {next(iter(nodes.values()))}", nodes)


def _check_names(graph: Graph, modules: tuple[Module, ...], named: Mapping[str, Mapping[str, Any]]) -> None:
    weighted = [module.name for module in modules if module.is_weighted]
    for what, names in named.items():
        for name in names:
            if name not in weighted:
                raise InputError(f"{graph.file}: {what}: no module {name} with weights, expected {', '.join(weighted)}")


def _choice(layer: Requantized | Concat, x: Format, error: float, reference: Reals) -> Choice:
    power = sum_of_squares(reference)
    weighted = layer if isinstance(layer, Weighted) else None
    return Choice(
        name=layer.name,
        n_x=x.fraction,
        n_w=weighted.w.fraction if weighted else None,
        n_w_most=int(weighted.weight_fractions.max()) if weighted else None,
        n_b=weighted.b.fraction if weighted else None,
        n_o=layer.output.fraction,
        shift=int(min(layer.shifts)),
        requant=layer.requant.value,
        scale=layer.output.scale,
        zero_point=layer.output.zero,
        error=error,
        sqnr_db=sqnr_db(power, error),
    )
