"""From a trained network to a compressed one: the public function and what it asks of the passes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from roundel.compression.budget import Sensitivity
from roundel.compression.chain import MAIN, Chain
from roundel.compression.compressed_network import ONNX, CompressedNetwork
from roundel.compression.division import compress_parts
from roundel.compression.engine_check import FittedEngine
from roundel.compression.finetune_options import FinetuneOptions
from roundel.compression.head import RecognisedHead, suppression_line, with_head
from roundel.compression.options import CompressOptions, chosen_budget, chosen_patterns, opq_params
from roundel.compression.pipeline import Compressed, NetworkAccuracy
from roundel.compression.report import report
from roundel.compression.streams import stream_files
from roundel.detection import BoxFigures
from roundel.frontend import Host, Model, export_onnx
from roundel.golden.codec import Packing
from roundel.golden.errors import InputError
from roundel.golden.parameters import check_bool, choice
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Rounding
from roundel.graph import Graph, ImageSource
from roundel.processes import work_folder
from roundel.quantization import QuantizeOptions, StreamOptions
from roundel.ui import Progress, silent


def compress(
    model: Model | Graph,
    calibration: ImageSource,
    *,
    input_shape: Sequence[int] | None = None,
    outputs: Sequence[str] | None = None,
    held_out: ImageSource | None = None,
    sparsity: float | None = None,
    patterns: str | None = None,
    bits: float | None = None,
    weighting: str = "size",
    steps: str = "power_of_two",
    requant: Scheme | str = Scheme.SHIFT,
    refit: bool = False,
    weight_bits: int = 8,
    activation_bits: int = 8,
    bias_bits: int | None = None,
    rounding: Rounding | str | None = None,
    per_channel: bool = False,
    equalize: bool = False,
    correct_biases: bool = False,
    round_to_results: bool = False,
    activation_error: float = 2.0,
    clip_digits: bool = False,
    budget: str | None = None,
    sensitivity: Sensitivity | str = Sensitivity.IMAGES,
    finetune: ImageSource | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    codec: Packing | str = Packing.RICE,
    lanes: int = 16,
    columns: int = 16,
    slices: int = 4,
    host: Host | str = Host.TAIL,
    late: bool = False,
    head: bool = True,
    engine: FittedEngine | None = None,
    progress: Progress = silent,
) -> CompressedNetwork:
    """Compress a trained network: prune and quantize it, and pack its weights.

    OPQ (one-shot pruning and quantization, `sparsity` and `bits`) or the joint search of fractional bits chooses the
    weights; the search chooses biases and activations either way.

    Parameters
    ----------
    model
        The trained network: the path of an ONNX file, its bytes, an `onnx.ModelProto`, or what `read_onnx` gave.
    calibration
        Images to choose fractional bits on: the path of an `.npz` file with an array `images`, or the array.
    input_shape
        Sizes of the network's input, such as (1, 3, 320, 320); None: those of the file, or, where that leaves them
        open, of the calibration images.
    outputs
        Names of tensors that the network ends in, inner ones too; None: the outputs of the file.
    held_out
        Images with `labels` to report the accuracy of.
    sparsity
        Part of all weights that OPQ prunes, 0 to below 1; with `patterns` at least that part.
    patterns
        Patterns of input channels, which prune in place of single weights: `4:8`, `2:8` or `1:8` for all layers with
        more channels than lanes, or several, `dense` among them or not, such as `dense,4:8,2:8`, of which `sparsity`
        or `budget` chooses that of each layer (docs/opq.md). An `engine` must select as many words.
    bits
        Mean bits of OPQ's codes, 2 to 8; None leaves the weights to the search.
    weighting
        How OPQ weighs the errors of layers: `size`, `layer` or `global`, see docs/opq.md.
    steps
        Steps of OPQ's codes: `power_of_two`, or `free`, which needs `requant`.
    requant
        The requantizers: `shift`, or a scheme that keeps scales that are no powers of two, such as `fixed16`.
    refit
        Move such scales to powers of two.
    weight_bits, activation_bits, bias_bits
        Bits that the search gives weights without OPQ (2 to 8), activations (2 to 8) and biases (2 to 16; None: 16 with
        `equalize` or `correct_biases`, else 8).
    rounding
        Rounding of the requantizers; None: half up, or half to even where activations are quantized already.
    per_channel
        A shift for every output channel instead of one for a layer.
    equalize
        Make channels alike by factors between layers, which leave float results as they are (docs/quantization.md);
        best with `per_channel`.
    correct_biases
        Let biases take in what rounded weights and inputs do to a layer's results on the calibration images.
    round_to_results
        Round weights by what becomes of a layer's results, and not each to its nearest integer.
    activation_error
        Greatest error of the table of an activation, in steps of its output (ULP), 0.5 to 128; a function of which no
        table is within that runs on the host.
    clip_digits
        End weights where the usual digits of the `engine`'s array do, 119 on one of 4 bits, and 85 on one of 2: they
        take no further steps, and are less accurate (docs/compiler.md).
    budget
        What an image may cost on the `engine`, as part of what it costs with weights of 8 bits: `cycles=0.6`,
        `energy=0.7` or `bytes=0.5`. Every layer then has bits of its own (docs/budget.md), with `clip_digits`. None:
        all have `weight_bits`.
    sensitivity
        What tells how much a layer's bits matter: `images`, the network's results on calibration images, or `weights`
        alone.
    finetune
        Images, with `labels` or without, to fine-tune on; needs torch.
    epochs, learning_rate, weight_decay
        How to fine-tune: 30 passes, 0.002 and 0 if None.
    codec
        Format of the weight streams: `rice`, `mask` or `relative`.
    lanes, columns, slices
        The array that they are for, and the parts of a rice stream that decode in parallel.
    host
        What the engine cannot do and a host computes, through onnxruntime: `refuse`, nothing but Softmax and Sigmoid at
        the end; `tail`, all before and behind one part of the network on the engine; `any`, between several parts too.
    late
        Compute Sigmoid, Exp and Log behind the last products on the engine, to integers of 8 bits; else the host does,
        exactly.
    head
        Whether the tail of a detector is recognised, so that the network ends in its head convolutions, split by kind,
        and `head` of the result says how boxes come out of them; else, and with `late`, it is taken like any other.
    engine
        What `roundel.runtime.engine_choice` gives: a network that it cannot run is refused before the search, or after
        it where that depends on the formats. None: any network will do.
    progress
        Told of every part.

    Returns
    -------
    CompressedNetwork
        The integer network, its streams and the report; `save(folder)` writes them.

    Raises
    ------
    InputError
        A file is missing or not what it should be, an option is out of range, or the network has no integer form:
        one line that names it.

    Examples
    --------
    >>> import roundel
    >>> from roundel.data import DIGITS
    >>> small = roundel.compress(DIGITS / "digits.onnx", DIGITS / "calibration.npz", held_out=DIGITS / "heldout.npz")
    >>> small.report["accuracy"]["integer"] > 0.98
    True
    """
    given = {"epochs": epochs, "learning_rate": learning_rate, "weight_decay": weight_decay}
    tuning: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if tuning and finetune is None:
        raise InputError(f"--{next(iter(tuning)).replace('_', '-')}: expected --finetune as well")
    try:
        check_bool("refit", refit)
        check_bool("late", late)
        check_bool("head", head)
        check_bool("clip_digits", clip_digits)
        cures = {"equalize": equalize, "correct_biases": correct_biases, "round_to_results": round_to_results}
        for name, cure in cures.items():
            check_bool(name, cure)
            if cure and (refit or choice(Scheme, "requant", requant) is not Scheme.SHIFT):
                what = f"--{name.replace('_', '-')}"
                raise InputError(f"{what}: expected neither --refit nor --requant, which keep scales of the file")
        others = {"--bits": bits is not None, "--weight-bits": weight_bits != 8, "--refit": refit}
        others["--requant"] = choice(Scheme, "requant", requant) is not Scheme.SHIFT
        asked = chosen_budget(budget, sensitivity, engine, [name for name, given in others.items() if given])
        packing = StreamOptions(packing=choice(Packing, "codec", codec), lanes=lanes, columns=columns, slices=slices)
        wanted = chosen_patterns(patterns, sparsity, asked, engine, packing)
        options = CompressOptions(
            model=model,
            calibration=calibration,
            input_shape=input_shape,
            outputs=outputs,
            late=late,
            held_out=held_out,
            opq=opq_params(sparsity, bits, weighting, weight_bits, steps, wanted),
            search=QuantizeOptions(
                requant=choice(Scheme, "requant", requant),
                weight_bits=weight_bits,
                activation_bits=activation_bits,
                bias_bits=(16 if equalize or correct_biases else 8) if bias_bits is None else bias_bits,
                per_channel=per_channel,
                activation_error=activation_error,
                correct_biases=correct_biases,
                round_to_results=round_to_results,
                array_bits=_array_bits(engine) if clip_digits or asked is not None else 8,
            ),
            rounding=None if rounding is None else choice(Rounding, "rounding", rounding),
            refit=refit,
            equalize=equalize,
            streams=packing,
            training=finetune,
            finetune=FinetuneOptions(**tuning),
            engine=engine,
            budget=asked,
            patterns=wanted,
        )
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from None
    left = choice(Host, "host", host)
    options, found = with_head(options, left) if head and not late else (options, None)
    chain, made, accuracy = compress_parts(options, left, progress)
    networks = {place: packed(result, chain if place == MAIN else None, accuracy) for place, result in made.items()}
    return replace(_with_head(networks.pop(MAIN), found, made[MAIN].figures), others=networks)


def _array_bits(engine: FittedEngine | None) -> int:
    """Return the bits of a weight of an engine's array."""
    if engine is None:
        raise InputError("--clip-digits: expected --config, --engine or --set as well, whose array has the digits")
    return engine.params.weight_width


def _with_head(
    network: CompressedNetwork, head: RecognisedHead | None, figures: BoxFigures | None
) -> CompressedNetwork:
    """Return a network with what became of its head, in its report as well."""
    if head is None:
        return network
    detector, notes = head.detector, list(head.notes)
    if detector is not None:
        try:
            detector = detector.fitted(network.network, network.results, figures)
        except InputError as error:  # what the box unit cannot take is decoded by the host
            notes.append(str(error).removeprefix(f"{detector.file}: "))
        else:
            notes.append(suppression_line(detector, figures))
    told = {"form": str(detector.form) if detector else None, "notes": notes}
    return replace(network, head=detector, report=network.report | {"head": told})


def packed(
    result: Compressed, chain: Chain | None = None, accuracy: NetworkAccuracy | None = None
) -> CompressedNetwork:
    """Give what the passes made as it is written and run.

    Parameters
    ----------
    result
        What the passes made.
    chain
        What a host computes beside it, if there is anything.
    accuracy
        That of the whole network, if the passes cannot tell it.
    """
    streams = {stream.layer: stream.data for stream in result.streams}
    return CompressedNetwork(
        file=result.graph.file,
        model=Path(result.graph.file).name,
        network=result.network,
        shape=result.graph.shape,
        results=result.results,
        options=result.options.streams,
        streams=streams,
        report=report(replace(result, accuracy=result.accuracy or accuracy), stream_files(streams), chain),
        onnx=_exported(result.tuned) if result.plans else None,
        calibration=result.statistics,
        chain=chain,
    )


def _exported(graph: Graph) -> bytes:
    with work_folder() as folder:
        path = folder / ONNX
        export_onnx(graph, path)
        return path.read_bytes()
