"""Looks into a trained network: what of it runs on the engine, what on a host, and what blocks."""

from collections.abc import Sequence
from pathlib import Path

from roundel.compression import head_lines, left_functions, network_parts, part_graph
from roundel.frontend import Examination, Host, Model, NetworkPart, Partition, examine, prepare
from roundel.golden.errors import InputError
from roundel.golden.parameters import choice
from roundel.graph import Pointwise, fold
from roundel.inspection.engine_part import EnginePart, engine_part
from roundel.inspection.outcome import Inspection
from roundel.inspection.rows import OperatorRow, blocks, operator_rows
from roundel.quantization import QuantizeOptions, untabled
from roundel.runtime import ChosenEngine, EngineSource, engine_choice
from roundel.ui import Done, Progress, silent


def inspect(
    model: Model,
    *,
    input_shape: Sequence[int] | None = None,
    outputs: Sequence[str] | None = None,
    host: str = "tail",
    late: bool = False,
    activation_error: float = 2.0,
    engine: EngineSource | None = None,
    progress: Progress = silent,
) -> Inspection:
    """Tell what is in a network, what of it runs on the engine, and every reason that keeps the rest from it.

    Parameters
    ----------
    model
        The path of an ONNX file, its bytes, or an `onnx.ModelProto`.
    input_shape, outputs
        Sizes of the network's input, and names of the tensors that it ends in, as in `read_onnx`.
    host
        `tail`: one part of the network on the engine, all before and behind it on the host. `any`: several parts.
    late
        Whether the engine computes Sigmoid, Exp and Log behind the last products, as in `compress`.
    activation_error
        Greatest error of the table of an activation, as in `compress`: functions of which no table is within it for
        any likely range of inputs run on the host. Which others do tell the images that `compress` calibrates on.
    engine
        An engine to predict the cycles of each layer for, as `run` takes it; None: no cycles.
    progress
        Told of every part, and of every module while cycles are predicted.

    Returns
    -------
    Inspection
        Operators, modules, reasons and shares; `save(folder)` writes them with a picture.

    Raises
    ------
    InputError
        The file as a whole cannot be read: one line that names it.

    Examples
    --------
    >>> import roundel
    >>> from roundel.data import DIGITS
    >>> roundel.inspect(DIGITS / "digits.onnx").share
    1.0
    """
    wanted = choice(Host, "host", host)
    if wanted is Host.REFUSE:
        raise InputError("host must be tail or any, as nothing is refused here")
    try:
        limit = QuantizeOptions(activation_error=activation_error).activation_error
    except ValueError as error:
        raise InputError(str(error)) from None
    chosen = None if engine is None else engine_choice(engine)
    examination = examine(prepare(model, input_shape=input_shape, outputs=outputs, late=late))
    partitions = {way: _tabled(examination, way, limit) for way in (Host.TAIL, Host.ANY)}
    partition = partitions[wanted]
    rows = operator_rows(partition)
    return Inspection(
        model=Path(examination.file).name,
        shape=examination.scope.shapes[examination.scope.source],
        host=wanted.value,
        operators=rows,
        edges=_edges(partition, rows),
        blocks=blocks(rows),
        parts=_engine_parts(partition, chosen, progress),
        shares={way.value: item.share for way, item in partitions.items()},
        counts={way.value: len(item.engine) for way, item in partitions.items()},
        config=chosen.name if chosen else None,
        head=() if outputs is not None else head_lines(examination),
    )


def _tabled(examination: Examination, host: Host, limit: float) -> Partition:
    """Divide a network; functions of which no table is good enough run on the host."""
    without: dict[str, str] = {}
    while True:
        partition = network_parts(examination, host, without)
        graphs = [fold(part_graph(partition, part.inputs[0])) for part in partition.engine]
        functions = {node.name: node.formula for graph in graphs for node in graph.nodes if isinstance(node, Pointwise)}
        nodes = {name: f"{name}: {why}" for name, formula in functions.items() if (why := untabled(formula, limit))}
        left = left_functions(examination, nodes)
        if left.keys() <= without.keys():
            return partition
        without |= left


def _engine_parts(partition: Partition, engine: ChosenEngine | None, progress: Progress) -> tuple[EnginePart, ...]:
    with progress("parts of the engine", len(partition.engine)) as step:
        return tuple(_engine_part(partition, part, engine, progress, step) for part in partition.engine)


def _engine_part(
    partition: Partition, part: NetworkPart, engine: ChosenEngine | None, progress: Progress, step: Done
) -> EnginePart:
    result = engine_part(part_graph(partition, part.inputs[0]), engine, progress)
    step(part.inputs[0])
    return result


def _edges(partition: Partition, rows: tuple[OperatorRow, ...]) -> tuple[tuple[int, int], ...]:
    """Return pairs of operators that a tensor connects, constants and names left out."""
    makers: dict[str, int] = {}
    edges = []
    for number, (item, row) in enumerate(zip(partition.examination.verdicts, rows, strict=True)):
        if row.part is not None:
            edges += [(makers[name], number) for name in item.reads if name in makers]
            makers.update(dict.fromkeys(item.makes, number))
    return tuple(dict.fromkeys(edges))
