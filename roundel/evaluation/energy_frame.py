"""Energy of an image on the engine, of operations and of memories.

Counted operations times what each costs on gates, counted accesses times figures of memories. The two are never added
up: they are of different nodes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from roundel.compiler import Compiled, Task
from roundel.evaluation.energy_costs import Costs
from roundel.golden.engine import SCORES, EngineParams, Opcode
from roundel.golden.head import Score
from roundel.synth.measure import DRAM_PJ_PER_BIT, SRAM_PJ_PER_BIT

MEMORY_NODE = "45 nm"  # Horowitz, ISSCC 2014
CANDIDATE_WORDS = 2  # that an engine with `heads` reads of a box beside the scan, about: its numbers, and logits again


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Operations and accesses that an image takes on the engine.

    Attributes
    ----------
    beats
        Cycles in which the array multiplies.
    weights
        Dense weights that the decoder gives.
    results, activated
        Accumulators that are requantized, and those of them that go on through the activation unit.
    boxes
        Sent to the NMS.
    feeds, residuals, loads, stores, targets, heads
        Words of the activation memory: read for the array and for residual additions, written by loads, read by stores,
        written as results, read by the box decoder.
    outer_beats
        Beats of the AXI4 master, both directions.
    """

    beats: int = 0
    weights: int = 0
    results: int = 0
    activated: int = 0
    boxes: int = 0
    feeds: int = 0
    residuals: int = 0
    loads: int = 0
    stores: int = 0
    targets: int = 0
    heads: int = 0
    outer_beats: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        mine, its = asdict(self), asdict(other)
        return Counts(**{name: mine[name] + its[name] for name in mine})


def count(compiled: Compiled, registers: Mapping[str, int], boxes: int) -> Counts:
    """Count one run: by its program, by its registers for the bus, and with so many boxes before the NMS."""
    whole = sum((task_counts(compiled.params, task) for task in compiled.tasks), Counts())
    read = CANDIDATE_WORDS * boxes if compiled.params.heads else 0
    return whole + Counts(boxes=boxes, heads=read, outer_beats=registers["read_beats"] + registers["write_beats"])


def task_counts(params: EngineParams, task: Task) -> Counts:
    """Count one descriptor."""
    get = task.values.get
    match task.opcode:
        case Opcode.COMPUTE:
            return _compute(params, task)
        case Opcode.BOXES:
            return Counts(heads=_head_words(params, task))
        case Opcode.LOAD | Opcode.STORE:
            words = get("planes", 1) * get("runs", 1) * -(-task.values["run_bytes"] // params.lanes)
            return Counts(**{"loads" if task.opcode is Opcode.LOAD else "stores": words})
    return Counts()


def _head_words(params: EngineParams, task: Task) -> int:
    """Words of a scale that the scan for candidates reads: logits, of products objectness, of the plain head boxes."""
    v = task.values
    places, priors = v["width"] * v["height"], v.get("priors", 0) + 1
    if not params.heads:
        return places * (-(-v["classes"] // params.lanes) + 1)
    logits = {Score.LOGIT: v["classes"], Score.PRODUCT: 1, Score.SOFTMAX: v["classes"] + 1}
    return places * -(-priors * logits[SCORES[v.get("score_form", 0)]] // params.lanes)


def _compute(params: EngineParams, task: Task) -> Counts:
    """Count a COMPUTE descriptor, whose steps are known; `docs/engine.md` has its loops."""
    v = task.values
    tiles = v["tiles_x"] * v["tiles_y"]
    rows = (v["tiles_y"] - 1) * v["tile_h"] + v["last_h"]
    across = (v["tiles_x"] - 1) * v["tile_w"] + v["last_w"]
    fed = v["tiles_x"] * (v.get("lead", 0) + 1) + (across - v["tiles_x"]) * v["every"]  # beats of all tiles' rows
    steps, words = task.steps[0], v["blocks"] * rows * across
    return Counts(
        beats=steps * rows * across,
        weights=steps * tiles * params.columns * params.lanes,
        results=words * params.columns,
        activated=words * params.columns if params.act_lanes and v.get("activation") else 0,
        feeds=steps * rows * fed,
        residuals=words if v.get("has_residual") else 0,
        targets=words + (2 * v["blocks"] * v["tiles_x"] * rows if params.sums and v.get("has_sums") else 0),
    )


@dataclass(frozen=True, kw_only=True)
class EnergyRow:
    """Energy that a unit spends on an image.

    Attributes
    ----------
    unit, kind
        Which; `logic` or `memory`.
    what, count
        What was counted, and how many.
    pj
        Energy of one, picojoules; None where it was not measured.
    nj
        Energy of the image, nanojoules.
    node
        Technology node that the figure is for.
    """

    unit: str
    kind: str
    what: str
    count: int
    pj: float | None
    node: str

    @property
    def nj(self) -> float | None:
        """Energy in nanojoules, all accesses together; None if the energy of one is unknown."""
        return None if self.pj is None else self.count * self.pj / 1000

    def as_dict(self) -> dict[str, Any]:
        """Return the row as plain values."""
        return asdict(self) | {"nj": self.nj}


def energy_rows(params: EngineParams, counts: Counts, costs: Costs) -> list[EnergyRow]:
    """Return the energies of an image, of logic first, then of memories."""
    word, sums = 8 * params.lanes, params.columns * params.mac.acc_width
    multiplications = counts.beats * params.lanes * params.columns
    logic = [
        ("array", "multiplications, those by zeros included", multiplications, costs.multiplication),
        ("decoder", "dense weights", counts.weights, costs.weight),
        ("requantizers", "accumulators", counts.results, costs.requantization),
        *([("activation unit", "words", counts.activated, costs.activation)] if counts.activated else []),
        ("NMS", "boxes", counts.boxes, costs.box),
    ]
    chip = counts.feeds + counts.residuals + counts.loads + counts.stores + counts.targets + counts.heads
    memory = [
        ("activation memory", f"words of {word} bits", chip, word * SRAM_PJ_PER_BIT),
        ("accumulator memory", f"words of {sums} bits, read and written", 2 * counts.beats, sums * SRAM_PJ_PER_BIT),
        *([_fifo(params, counts.activated)] if params.activation and counts.activated else []),
        ("NMS tables", "boxes", counts.boxes, costs.box_tables),
        ("outer memory", f"beats of {params.bus} bits", counts.outer_beats, params.bus * DRAM_PJ_PER_BIT),
    ]
    return [*_rows("logic", costs.cells, logic), *_rows("memory", MEMORY_NODE, memory)]


def _fifo(params: EngineParams, activated: int) -> tuple[str, str, int, float]:
    """Return the row of the FIFO before the activation unit: its words hold all columns."""
    assert params.activation is not None
    bits = params.columns * params.activation.in_width
    count = 2 * (activated // params.columns)
    return "activation FIFO", f"words of {bits} bits, written and read", count, bits * SRAM_PJ_PER_BIT


def _rows(kind: str, node: str, rows: Iterable[tuple[str, str, int, float | None]]) -> list[EnergyRow]:
    return [
        EnergyRow(unit=unit, kind=kind, what=what, count=number, pj=pj, node=node) for unit, what, number, pj in rows
    ]


def total_nj(rows: Iterable[EnergyRow], kind: str) -> float:
    """Return the energy of all rows of a kind that were measured, nJ."""
    return sum(row.nj or 0.0 for row in rows if row.kind == kind)
