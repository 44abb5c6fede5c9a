"""Options of the compression."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil

from roundel.compression.budget import Budget, Sensitivity, parse_budget
from roundel.compression.engine_check import FittedEngine
from roundel.compression.finetune_options import FinetuneOptions
from roundel.compression.patterns import Patterns, check_engine, parse_patterns
from roundel.detection import Detector
from roundel.frontend import Model
from roundel.golden.errors import InputError
from roundel.golden.opq import OpqParams, Weighting
from roundel.golden.parameters import choice
from roundel.golden.rounding import Rounding
from roundel.graph import Graph, ImageSource
from roundel.quantization import QuantizeOptions, StreamOptions

STEPS = ("power_of_two", "free")


@dataclass(frozen=True, kw_only=True)
class CompressOptions:
    """A network to compress, and how.

    Parameters
    ----------
    model, calibration
        The trained network (ONNX), and images for choosing fractional bits (array `images`).
    input_shape, outputs
        Sizes of the input, and names of the tensors to end in, instead of those of the file; None: as the file says,
        and of sizes that it leaves open as the calibration images are.
    late
        Whether the engine computes Sigmoid, Exp and Log behind the last products, and not the host.
    held_out
        Images with `labels` that neither training nor calibration saw; None reports no accuracy.
    opq
        Pruning and quantization from the weights alone; None leaves weights to the joint search. Steps that are powers
        of two are part of the shift.
    search
        The joint search of fractional bits; its `requant` keeps scales that are no powers of two.
    refit
        Whether to move such scales to powers of two.
    equalize
        Whether factors between layers make channels alike before the search (`roundel.quantization.equalize`).
    streams
        How weights are packed, and for which array.
    training
        Images, with `labels` or without, to fine-tune on; None does not.
    finetune
        How to fine-tune.
    engine
        The engine that is to run the network, which is refused at once if it cannot; None: none is looked at.
    budget
        What the network may cost on that engine, which chooses the bits of weights; None: all have the same.
    patterns
        The patterns of channels that layers may have; None: none have.
    detector
        How boxes come out of the results of the part that has them, of which calibration images tell how many there
        are and where, so that formats of boxes are chosen there; None: none do.
    """

    model: Model | Graph
    calibration: ImageSource
    input_shape: Sequence[int] | None = None
    outputs: Sequence[str] | None = None
    late: bool = False
    held_out: ImageSource | None = None
    opq: OpqParams | None = None
    search: QuantizeOptions = field(default_factory=QuantizeOptions)
    rounding: Rounding | None = None
    refit: bool = False
    equalize: bool = False
    streams: StreamOptions = field(default_factory=StreamOptions)
    training: ImageSource | None = None
    finetune: FinetuneOptions = field(default_factory=FinetuneOptions)
    engine: FittedEngine | None = None
    budget: Budget | None = None
    patterns: Patterns | None = None
    detector: Detector | None = None


def opq_params(
    sparsity: float | None,
    bits: float | None,
    weighting: str,
    weight_bits: int,
    steps: str = "power_of_two",
    patterns: Patterns | None = None,
) -> OpqParams | None:
    """Return what `--sparsity`, `--bits`, `--weighting`, `--steps` and `--patterns` ask for; None without any part.

    No code is wider than `bits` rounded up, so that a whole number gives every layer the same number of levels.

    Parameters
    ----------
    sparsity, bits
        Share of the weights to prune, 0 to below 1, and mean bits of a code, 2 to 8.
    weighting
        How errors of layers are weighed: `size`, `layer` or `global`.
    weight_bits
        Bits of a weight where `bits` is None.
    steps
        `power_of_two` or `free`; `free` needs `bits`.
    patterns
        What prunes in place of single weights.

    Raises
    ------
    InputError
        A number out of range.
    """
    if steps not in STEPS:
        raise InputError(f"--steps: expected {' or '.join(STEPS)}, not {steps!r}")
    if steps != "power_of_two" and bits is None:
        raise InputError(f"--steps {steps}: expected --bits as well, without which OPQ has no steps")
    if sparsity is None and bits is None and patterns is None:
        choice(Weighting, "weighting", weighting)
        return None
    number = isinstance(bits, int | float) and not isinstance(bits, bool)
    if bits is not None and not (number and 2 <= bits <= 8):
        raise InputError(f"--bits: expected 2 to 8, not {bits!r}")
    width = ceil(bits) if bits is not None else weight_bits
    usual = OpqParams()
    try:
        return OpqParams(
            sparsity=sparsity or 0.0,
            bits=bits,
            max_width=width,
            weighting=choice(Weighting, "weighting", weighting),
            power_of_two=steps == "power_of_two",
            patterns=usual.patterns if patterns is None else patterns.kept,
            columns=usual.columns if patterns is None else patterns.columns,
        )
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from None


def chosen_patterns(
    text: str | None,
    sparsity: float | None,
    budget: Budget | None,
    engine: FittedEngine | None,
    streams: StreamOptions,
) -> Patterns | None:
    """Return what `--patterns` asks for; None without it.

    Parameters
    ----------
    text
        Names between commas, or None.
    sparsity, budget
        One of which chooses among several patterns.
    engine
        The engine, whose array and banks the patterns are for; None: those of `streams` and any banks.
    streams
        The array without an engine.

    Raises
    ------
    InputError
        Another name, several patterns and nothing that chooses, or an engine that cannot select them.
    """
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError(f"patterns must be a text such as 4:8 or dense,4:8, not {text!r}")
    array = streams if engine is None else engine.params
    try:
        patterns = parse_patterns(text, array.lanes, array.columns)
    except ValueError as error:
        raise InputError(f"--patterns: {error}") from None
    if budget is not None and sparsity is not None:
        raise InputError(f"--patterns {text}: expected --sparsity or --budget, which both choose patterns, not both")
    if len(patterns.kept) > 1 and budget is None and sparsity is None:
        raise InputError(
            f"--patterns {text}: expected --sparsity or --budget as well, which choose that of each layer, or one alone"
        )
    if engine is not None:
        check_engine(patterns, engine)
    return patterns


def chosen_budget(
    text: str | None, sensitivity: Sensitivity | str, engine: FittedEngine | None, others: Sequence[str]
) -> Budget | None:
    """Return what `--budget` and `--sensitivity` ask for; None without a budget.

    Parameters
    ----------
    text
        `COST=RATIO`, or None.
    sensitivity
        `images` or `weights`.
    engine
        The engine that the budget is counted on.
    others
        Options beside it that choose bits, or scales, too.

    Raises
    ------
    InputError
        Another form, one of the others as well, or no engine.
    """
    by = choice(Sensitivity, "sensitivity", sensitivity)
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError(f"budget must be a text such as cycles=0.6, not {text!r}")
    try:
        budget = parse_budget(text, by)
    except ValueError as error:
        raise InputError(f"--budget: {error}") from None
    if others:
        raise InputError(f"--budget {text}: expected no {others[0]}: it chooses the bits of every layer, behind shifts")
    if engine is None:
        raise InputError(f"--budget {text}: expected --config, --engine or --set as well: it is counted on an engine")
    return budget
