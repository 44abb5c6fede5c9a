"""Rows of a report from netlists and energies written by hand: every figure is computed here again."""

import json
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Elaboratable
from amaranth.sim import Simulator

from roundel.golden.codec import CodecParams, DecoderParams, Packing, encode
from roundel.golden.errors import InputError
from roundel.golden.mac import MacParams, Schedule, schedule
from roundel.golden.nms import BoxFormat, GreedyParams, NmsParams
from roundel.golden.requant import RequantParams
from roundel.sim.runner import Result
from roundel.sim.stimuli import clusters
from roundel.synth.analysis import Energy, Memory, MemoryUse, Power, analyse
from roundel.synth.mapping import Mapped, MappingOptions
from roundel.synth.measure import BoxStream, Operator, WeightStreams, common, decoder, mac, nms, nms_scheme
from roundel.synth.measure.common import Measurement, prove_and_estimate
from roundel.synth.measure.parts import DRAM_PJ_PER_BIT, SRAM_PJ_PER_BIT, energy_per_op, part_of
from tests.support.toy import INVERTER, NAND, TOY, netlist

GATE = """
  cell (GATE) {
    area : 4; clock_gating_integrated_cell : "latch_posedge"; dont_use : true;
    pin (E) { direction : input; capacitance : 1; clock_gate_enable_pin : true; }
    pin (C) { direction : input; capacitance : 1; clock : true; clock_gate_clock_pin : true; }
    pin (G) { direction : output; clock_gate_out_pin : true; }
  }
  cell (LATCH) {
    area : 5; latch (IQ, IQN) { enable : "G"; data_in : "D"; }
    pin (D) { direction : input; capacitance : 1; } pin (G) { direction : input; capacitance : 1; clock : true; }
    pin (Q) { direction : output; function : "IQ"; }
  }
"""
# A flip-flop of each kind around a gate and an inverter; a two-input NAND has an area of 2.
CELLS = {
    "input": "DFF D=acc CK=clk Q=x",
    "parameter": "DFF D=params CK=clk Q=s",
    "gate": "ND2 A1=x A2=s Z=n",
    "pipeline": "DFF D=n CK=clk Q=m",
    "inverter": "INV A=m Y=w",
    "output": "DFF D=w CK=clk Q=y QN=z",
}
OTHERS = {"clock_gate": "GATE E=acc C=clk G=c", "latch": "LATCH D=acc G=c Q=l", "ram": "RAM A=l O=r"}


@pytest.fixture
def cells(tmp_path) -> Path:
    path = tmp_path / "toy.lib"
    path.write_text(TOY.rstrip()[:-1] + GATE + "}\n")
    return path


def mapped(folder: Path, top: str, options: MappingOptions, area: float, **more: int) -> Mapped:
    """What a mapping gives; a third of the area are flip-flops."""
    count = {"ND2": 3, "DFF": 2} | more
    return Mapped(
        folder=folder, top=top, options=options, cells=count, area_um2=area, flip_flop_area_um2=area / 3,
        area_nand2=-1.0, memory_bits=77,
    )  # fmt: skip


def measurement(folder: Path, cells: Path, lines: dict[str, str], cycles: float, scale: float = 1.0) -> Measurement:
    """Instance k of a netlist spends 2^k internally, a quarter of that on switching, an eighth by leakage."""
    net = netlist(folder, common.read_library(cells), "clk acc params", "y", lines)
    internal = scale * 2.0 ** np.arange(len(net.instances))
    power = Power(netlist=net, internal=internal, switching=internal / 4, leakage=internal / 8, ports={})
    return Measurement(netlist=net, timing=analyse(net), power=power, cycles=cycles, proof=Result(1))


def test_energies_of_memories_are_those_of_the_paper():
    """Horowitz, ISSCC 2014, at 45 nm: 64 bits cost 10 pJ from a cache of 8 KiB and 1.3 nJ from DRAM."""
    assert SRAM_PJ_PER_BIT * 64 == 10
    assert DRAM_PJ_PER_BIT * 64 == 1300


def test_what_an_operation_costs(tmp_path, cells):
    """The second run spends its energy over 30 cycles, the first over 10: what is more belongs to 8 operations."""
    lines = CELLS | OTHERS
    first = measurement(tmp_path, cells, lines, 10)
    longer = measurement(tmp_path, cells, lines, 30, scale=2.0)
    assert [part_of(instance) for instance in first.netlist.instances] == [
        *("registers", "registers", "logic", "registers", "logic", "registers"),
        *("clock_gates", "registers", "memory"),
    ]
    more = (2 * 30 - 10) / 8
    logic, registers, gates = 4 + 16, 1 + 2 + 8 + 32 + 128, 64
    row = energy_per_op(first, longer, 8)
    assert row == {
        "internal": pytest.approx((logic + registers + gates) * more),
        "switching": pytest.approx((logic + registers + gates) * more / 4),
        "leakage": pytest.approx((logic + registers + gates) * more / 8),
        "energy_pj_per_op": pytest.approx((logic + registers + gates) * more * 1.375),
        "energy_logic_pj_per_op": pytest.approx(logic * more * 1.375),
        "energy_registers_pj_per_op": pytest.approx(registers * more * 1.375),
        "energy_clock_gates_pj_per_op": pytest.approx(gates * more * 1.375),
    }


def test_dense_weights_are_the_32_bits_at_byte_8_of_a_stream():
    streams = (bytes(range(16)), bytes(range(100, 120)))
    given = WeightStreams(source="", streams=streams)
    wanted = 0x0B0A0908 + 0x6F6E6D6C
    assert given.weights == wanted
    assert given.bits_per_weight == 8 * 36 / wanted


def test_a_row_is_measured_once(tmp_path, monkeypatch):
    monkeypatch.setenv("ROUNDEL_CACHE", str(tmp_path))
    made = []

    def make():
        made.append(1)
        return {"a": 1.5}

    assert [common.cached_row(["one"], make) for _ in range(3)] == [{"a": 1.5}] * 3
    assert len(made) == 1
    assert common.cached_row(["two"], make) == {"a": 1.5}
    assert len(made) == 2
    assert len(common.code_digest()) >= 8


def test_energy_by_parts_of_its_kind():
    both = Energy(1, 2, 4) + Energy(8, 16, 32)
    assert (both.internal, both.switching, both.leakage, both.total) == (9, 18, 36, 63)
    assert both * 0.5 == Energy(4.5, 9, 18)
    assert Energy().total == 0


SAIF = """(SAIFILE (INSTANCE top (NET
  (clk (T0 50) (T1 50) (TC 40)) (acc (T0 100) (T1 0) (TC 0)) (params (T0 100) (T1 0) (TC 0))
  (x (T0 100) (T1 0) (TC 0)) (s (T0 100) (T1 0) (TC 0)) (n (T0 0) (T1 100) (TC 0)) (m (T0 0) (T1 100) (TC 0))
  (w (T0 100) (T1 0) (TC 0)) (y (T0 100) (T1 0) (TC 0)) (z (T0 0) (T1 100) (TC 0)))))"""


def test_leakage_counts_over_a_cycle_of_100_mhz(tmp_path, cells, monkeypatch):
    """1 nW over 10 ns is 1e-5 pJ."""
    net = netlist(tmp_path, common.read_library(cells), "clk acc params", "y", CELLS)
    given = mapped(tmp_path, "top", MappingOptions(), 1.0)
    for name in ("models.v", "netlist.v"):
        (tmp_path / name).write_text(name)
    asked = {}

    @contextmanager
    def proven(design, what, **settings):
        asked.update(settings, what=what, sources=design.sources, models=design.quiet_sources, trace=design.trace)
        (tmp_path / "dump.saif").write_text(SAIF)
        yield Result(3), tmp_path

    monkeypatch.setattr(common, "proven", proven)
    seen = prove_and_estimate(given, cells, bench="bench", config={"a": 1}, stimulus=print)
    assert asked == {
        "what": "the netlist of top on toy",
        "sources": ("netlist.v",),
        "models": ("models.v",),
        "trace": "saif",
        "bench": "bench",
        "config": {"a": 1},
        "stimulus": print,
    }
    assert (seen.cycles, seen.proof.tests) == (20, 3)
    # The inverter leaks 50 nW while A is 1, as m is; a flip-flop 90 nW
    # while D and Q are 1, as those of the register behind the gate are, else 10 nW; the gate nothing.
    assert seen.power.leakage == pytest.approx(np.array([10, 10, 0, 90, 50, 10]) * 1e-5)
    assert seen.power.ports["clk"] == pytest.approx(0.5 * 2**2 * 0.04 * 2)
    assert seen.timing.delay_ns == analyse(net).delay_ns > 0


@pytest.fixture
def uncached(monkeypatch):
    """What rows are kept under, instead of the cache."""
    keys = []

    def cached_row(key, make):
        keys.append(key)
        return json.loads(json.dumps(make()))

    def text(component, name):
        if isinstance(component, Elaboratable):
            rtlil.convert(component, name=name)  # it must be used
        return f"module {name}"

    for place in (common, decoder, mac, nms):
        monkeypatch.setattr(place, "cached_row", cached_row)
        monkeypatch.setattr(place, "code_digest", lambda *_: "code")
        monkeypatch.setattr(place, "to_verilog", text)
    return keys


def test_a_row_of_an_operator(tmp_path, cells, monkeypatch, uncached):
    stimulus = {"acc": np.array([5, -7, 9]), "shift": [1, 2, 3]}
    params = RequantParams(acc_width=16, out_width=4)

    def measure(given, _cells, *, bench, config, stimulus):
        stimulus(tmp_path / "stimulus.npz")
        with np.load(tmp_path / "stimulus.npz") as file:
            assert {name: file[name].tolist() for name in file} == {"acc": [5, -7, 9], "shift": [1, 2, 3]}
        assert (given.top, config) == ("operator", {"params": params.as_dict(), "latency": 2})
        return measurement(tmp_path, cells, CELLS, 100)

    monkeypatch.setattr(common, "prove_and_estimate", measure)
    monkeypatch.setattr(
        common, "map_smallest", lambda verilog, top, cells: mapped(tmp_path, top, MappingOptions(adder="prefix"), 33)
    )
    row = common.measure_operator(params, cells, stimulus, source="three")
    areas = {"logic": 2 + 1.5, "output": 6, "input": 6, "parameter": 6, "pipeline": 6}
    spent = {"logic": 4 + 16, "output": 32, "input": 1, "parameter": 2, "pipeline": 8}
    longer = {name: name if name == "logic" else f"{name}_register" for name in areas}
    assert {key: row[key] for key in row if key.startswith("area_")} == {
        **{f"area_{longer[name]}_um2": area for name, area in areas.items()},
        "area_um2": 9.5,
        "area_nand2": 4.75,
    }
    assert {key: row[key] for key in row if key.startswith("energy_")} == {
        **{f"energy_{longer[name]}_pj_per_op": energy * 1.375 for name, energy in spent.items()},
        "energy_pj_per_op": 52 * 1.375,
    }
    assert (row["internal"], row["switching"], row["leakage"]) == (52, 13, 6.5)
    # From register to register: Q falls after 0.4, rises after 0.3; then the inverter at its table's least load.
    assert row["delay_ns"] == pytest.approx(measurement(tmp_path, cells, CELLS, 1).timing.delay_ns)
    assert (row["unit"], row["scheme"], row["cells"], row["ops"], row["stimulus"], row["verified"]) == (
        *("requant", "shift", "toy", 3),
        *("three", True),
    )
    assert row["flow"]["adder"] == "prefix"
    [key] = uncached
    assert key[0] == "code"
    assert {"three", json.dumps(params.as_dict()), "acc", stimulus["acc"].tobytes()} <= set(key)


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        (RequantParams(acc_width=16, out_width=4), {"shift": 9}),
        (RequantParams(scheme="fixed16"), {"multiplier": 23456, "shift": 21, "zero_point": 3}),
        (RequantParams(scheme="fixed16", pipeline=True), {"multiplier": 23456, "shift": 21, "zero_point": 3}),
        (RequantParams(scheme="shift_const", shift=9, acc_width=16), {}),
    ],
    ids=lambda value: f"{value.scheme.value}-{value.pipeline}" if isinstance(value, RequantParams) else "",
)
def test_an_operator_computes_between_its_registers(params, fields, seed):
    """One accumulator in every cycle, no enable: each result is there `latency` edges later."""
    component = Operator(params)
    assert not hasattr(component, "en")
    acc = np.random.default_rng(seed).integers(-(1 << 14), 1 << 14, 20)
    expected = params.compute(acc, fields).tolist()
    results = []

    async def bench(context):
        for number in range(20 + component.latency):
            if number < 20:
                context.set(component.acc, int(acc[number]))
            if fields:
                context.set(component.params, fields)
            if number >= component.latency:
                results.append(context.get(component.data))
            await context.tick()

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert results == expected
    assert len(set(expected)) > 2


def test_without_a_nand_there_is_no_unit_of_area(tmp_path, cells):
    library = common.read_library(cells)
    assert common.nand2_area(library, cells) == 2
    cells.write_text(TOY.replace(NAND, "").replace(INVERTER, ""))
    with pytest.raises(InputError, match=r"toy\.lib: has no two-input NAND, the unit of gate equivalents"):
        common.nand2_area(common.read_library(cells), cells)


@pytest.mark.parametrize("columns", [3, 6])
def test_a_row_of_an_array(columns, tmp_path, cells, monkeypatch, uncached):
    params = MacParams(lanes=4, columns=columns, depth=8, reduction=32)
    acts, weights = np.arange(16 * 12).reshape(16, 12) % 200, np.arange(12 * 6).reshape(12, 6) - 30

    def beats(array: MacParams) -> Schedule:
        return schedule(array, acts, weights[:, : array.columns], 0, {"shift": 9})

    few = min(columns, 4)  # of more columns, the netlist of four is measured
    chosen = MappingOptions(multiplier="rows")
    changes, proofs = [], []

    def map_smallest(verilog, top, _cells, **options):
        assert verilog == f"module {top}"
        changes.extend(options.get("changes", ()))
        measurement(tmp_path, cells, CELLS, 1)  # writes the netlist whose delay is told
        return mapped(tmp_path, top, chosen, {"mac": 900.0, "requant_core": 30.0}[top])

    def map_design(verilog, top, _cells, *, options):
        assert options == chosen
        return mapped(tmp_path, "top", options, 5.0)

    def measure(given, _cells, *, bench, config, stimulus):
        stimulus(tmp_path / "stimulus.npz")
        with np.load(tmp_path / "stimulus.npz") as file:
            assert file["outputs"].shape[1] == few
        assert (config["params"]["columns"], config["latency"]) == (few, few)
        return measurement(tmp_path, cells, CELLS | OTHERS, 96)

    @contextmanager
    def proven(design, what, **settings):
        proofs.append((what, settings["config"]["params"]["columns"]))
        yield Result(1), tmp_path

    for name, value in (
        ("map_smallest", map_smallest),
        ("map_design", map_design),
        ("prove_and_estimate", measure),
        ("proven", proven),
        ("MacArray", lambda params: SimpleNamespace(latency=params.columns)),
        ("requant_core", lambda params: None),
        ("read_netlist", lambda *_: measurement(tmp_path, cells, CELLS, 1).netlist),
    ):
        monkeypatch.setattr(mac, name, value)
    row = mac.measure_mac(params, cells, beats, source="counting")
    assert proofs == [("the MAC array", columns)]
    assert {"keep_trees": True} in changes
    products, operations = 4 * columns, len(beats(params).activations) * 4 * few
    spent = {"logic": 4 + 16, "registers": 1 + 2 + 8 + 32 + 128, "clock_gates": 64, "memory": 256}
    cost = {name: value * 96 / operations for name, value in spent.items()}
    total = sum(cost.values())
    figures = {
        "area_um2": 900,
        "area_nand2": 450,
        "area_per_mac_um2": 900 / products,
        "area_per_mac_without_requantizers_um2": (900 - 30 * columns) / products,
        "area_registers_per_mac_um2": 300 / products,
        "memory_bits": 77,
        "delay_ns": measurement(tmp_path, cells, CELLS, 1).timing.delay_ns,
        "energy_pj_per_op": total * 1.375,
        "internal": total,
        "switching": total / 4,
        "leakage": total / 8,
        **{f"energy_{name}_pj_per_op": value * 1.375 for name, value in cost.items()},
        "energy_columns": few,
        "ops": operations,
    }
    assert {name: row[name] for name in figures} == pytest.approx(figures)
    assert set(row) - set(figures) == {"unit", "scheme", "params", "cells", "stimulus", "verified", "flow"}
    assert (row["unit"], row["cells"], row["stimulus"], row["verified"]) == ("mac", "toy", "counting", True)
    assert row["scheme"] == "pairs, 8-bit weights"
    [key] = uncached
    assert {"code", "counting", json.dumps(params.as_dict())} <= set(key)


def test_a_row_of_a_decoder(tmp_path, cells, monkeypatch, uncached):
    params = DecoderParams(packing=Packing.MASK, bus=32, lanes=4, width=2)
    streams = [
        encode(np.tile([1, 0, -1, 0], count), CodecParams(packing=Packing.MASK, lanes=4, width=2)) for count in (7, 3)
    ]
    given = WeightStreams(source="pattern", streams=tuple(streams))
    assert given.weights == 40
    sizes = [len(stream) for stream in streams]
    assert given.bits_per_weight == 8 * sum(sizes) / 40
    options = []

    def map_design(verilog, top, _cells, *, options: MappingOptions):
        assert not options.full_adders
        return mapped(tmp_path, top, options, {"decoder": 120.0, "core": 60.0}[top])

    def measure(given, _cells, *, bench, config, stimulus):
        stimulus(tmp_path / "stimulus.npz")
        with np.load(tmp_path / "stimulus.npz") as file:
            times = len(file["ends"]) // 2
            assert file["ends"].tolist() == np.cumsum(sizes * times).tolist()
            assert file["bytes"].tobytes() == b"".join(streams * times)
        options.append(times)
        return measurement(tmp_path, cells, CELLS, {1: 100, 2: 180}[times])

    monkeypatch.setattr(decoder, "map_design", map_design)
    monkeypatch.setattr(decoder, "prove_and_estimate", measure)
    monkeypatch.setattr(decoder, "_delay", lambda given, _cells: {"decoder": 9.0, "core": 7.0}[given.top])
    row = decoder.measure_decoder(params, cells, given)
    assert options == [1, 2]
    bits = 8 * sum(sizes) / 40
    figures = {
        "area_um2": 120,
        "area_nand2": 60,
        "area_registers_um2": 40,
        "area_core_um2": 60,
        "area_core_registers_um2": 20,
        "area_core_logic_nand2": 20,
        "area_core_registers_nand2": 10,
        "delay_ns": 9,
        "delay_core_ns": 7,
        "ops": 40,
        "bits_per_weight": bits,
        "cycles": 80,
        "weights_per_cycle": 0.5,
        "internal": 63 * 80 / 40,
        "switching": 63 * 80 / 40 / 4,
        "leakage": 63 * 80 / 40 / 8,
        "energy_pj_per_op": 63 * 80 / 40 * 1.375,
        "energy_logic_pj_per_op": 20 * 80 / 40 * 1.375,
        "energy_registers_pj_per_op": 43 * 80 / 40 * 1.375,
        "energy_clock_gates_pj_per_op": 0,
        "saved_sram_pj_per_op": 10 / 64 * (2 - bits),
        "saved_dram_pj_per_op": 1300 / 64 * (2 - bits),
    }
    assert {name: row[name] for name in figures} == pytest.approx(figures)
    assert set(row) - set(figures) == {"unit", "scheme", "params", "cells", "stimulus", "verified", "flow"}
    assert (row["unit"], row["scheme"], row["verified"]) == ("decoder", "mask, 4 lanes", True)
    [key] = uncached
    assert {"code", "pattern", json.dumps(params.as_dict()), *streams} <= set(key)


@pytest.mark.parametrize("late", [0, 1])
def test_both_runs_of_a_decoder_must_be_proven(late, tmp_path, cells, monkeypatch, uncached):
    params = DecoderParams(packing=Packing.MASK, bus=32, lanes=4, width=2)
    stream = encode(np.array([1, 0]), CodecParams(packing=Packing.MASK, lanes=4, width=2))
    seen = [measurement(tmp_path, cells, CELLS, cycles) for cycles in (1, 2)]
    proofs = [Result(1), Result(1, failures=("differs",))][:: -1 if late else 1]
    runs = [Measurement(**{**vars(run), "proof": proof}) for run, proof in zip(seen, proofs, strict=True)]
    monkeypatch.setattr(decoder, "map_design", lambda *_, options: mapped(tmp_path, "top", options, 3.0))
    monkeypatch.setattr(decoder, "prove_and_estimate", lambda *_, **__: runs.pop())
    monkeypatch.setattr(decoder, "_delay", lambda *_: 1.0)
    assert not decoder.measure_decoder(params, cells, WeightStreams(source="", streams=(stream,)))["verified"]


def test_schemes_of_decoders_say_what_differs():
    rice = {"packing": "rice", "bus": 64, "lanes": 16, "width": 5}
    assert decoder.decoder_scheme(DecoderParams(**rice, slices=1)) == "rice, 16 lanes, 1 slice"
    assert decoder.decoder_scheme(DecoderParams(**rice, slices=4)) == "rice, 16 lanes, 4 slices"
    assert decoder.decoder_scheme(DecoderParams(packing="mask", table=True)).endswith(" lanes, table")


FORM = BoxFormat(width=64, height=48, score_width=4, classes=1)
GREEDY = GreedyParams(format=FORM, capacity=16, lanes=2, threshold=0.3)


def memories(reads: int, writes: int) -> tuple[Memory, ...]:
    """A memory for each purpose, the last two of none that has a name."""
    names = ("stage_0_buffer_memory_words", "stage_0_pass_1_scores", "scan_memory_box_words", "stage_0_queue", "fifo")
    return tuple(
        Memory(name=name, width=number + 1, depth=8, reads=reads, writes=writes) for number, name in enumerate(names)
    )


@pytest.mark.parametrize("gates", [30_000, 30_001])
def test_a_row_of_a_suppression_unit(gates, tmp_path, cells, monkeypatch, uncached, seed):
    rng = np.random.default_rng(seed)
    images = tuple(clusters(rng, FORM, count) for count in (16, 8, 12))
    stream = BoxStream(source="clusters", images=images)
    assert stream.boxes == 8 + 12

    def count(path: Path) -> int:
        with np.load(path) as file:
            return {(16,): 1, (16, 24, 36): 2}[tuple(file["ends"].tolist())]

    def map_design(verilog, top, _cells, *, options):
        assert options.keep_trees
        return mapped(tmp_path, top, options, 30.0, ND2=gates - 2)

    def measure(given, _cells, *, bench, config, stimulus):
        assert bench == "roundel.sim.benches.tb_greedy_nms"
        stimulus(tmp_path / "stimulus.npz")
        return measurement(tmp_path, cells, CELLS, {1: 50, 2: 90}[count(tmp_path / "stimulus.npz")])

    def memory_use(verilog, top, *, bench, config, stimulus):
        stimulus(tmp_path / "stimulus.npz")
        run = count(tmp_path / "stimulus.npz")
        return MemoryUse(cycles={1: 30, 2: 110}[run], memories=memories(5 * run * run, 3 * run))

    net = measurement(tmp_path, cells, CELLS, 1).netlist
    for name, value in (
        ("map_design", map_design),
        ("prove_and_estimate", measure),
        ("memory_use", memory_use),
        ("read_netlist", lambda *_: net),
    ):
        monkeypatch.setattr(nms, name, value)
    row = nms.measure_nms("greedy_nms", GREEDY, cells, stream)
    # A word more is read 15 times, and written 3 times, of widths 1 to 5: of boxes 1 and 3, windows 2, queues 4 and 5.
    moved = {"boxes": (1 + 3) * 18, "windows": 2 * 18, "queues": (4 + 5) * 18}
    tables = {name: bits * 10 / 64 / 20 for name, bits in moved.items()}
    figures = {
        "gates": gates,
        "area_um2": 30,
        "area_nand2": 15,
        "area_registers_um2": 10,
        "delay_ns": analyse(net).delay_ns,
        "ops": 20,
        "cycles": 80,
        "boxes_per_cycle": 0.25,
        "memory_bits": 15 * 8,
        "memory_bits_boxes": 4 * 8,
        "memory_bits_windows": 2 * 8,
        "memory_bits_queues": 9 * 8,
        "energy_tables_pj_per_op": sum(tables.values()),
        **{f"energy_tables_{name}_pj_per_op": value for name, value in tables.items()},
    }
    spent = {
        "internal": 63 * 2,
        "switching": 63 * 2 / 4,
        "leakage": 63 * 2 / 8,
        "energy_pj_per_op": 63 * 2 * 1.375,
        "energy_logic_pj_per_op": 20 * 2 * 1.375,
        "energy_registers_pj_per_op": 43 * 2 * 1.375,
        "energy_clock_gates_pj_per_op": 0,
    }
    assert {name: row[name] for name in figures} == pytest.approx(figures)
    if gates > 30_000:  # a netlist that takes minutes to build is not simulated
        assert {name: row[name] for name in spent} == dict.fromkeys(spent)
    else:
        assert {name: row[name] for name in spent} == pytest.approx(spent)
    assert set(row) - set(figures) - set(spent) == {
        *("unit", "scheme", "params", "cells", "stimulus", "verified", "flow")
    }
    assert (row["unit"], row["scheme"], row["verified"]) == ("greedy_nms", "greedy, 2 lanes", True)
    for key in uncached:
        assert {"code", "clusters", "greedy_nms", json.dumps(GREEDY.as_dict())} <= set(key)
        assert {column.tobytes() for image in images for column in (image.boxes, image.scores)} <= set(key)
    assert len(uncached) == 2


def test_a_netlist_of_a_suppression_unit_that_fails_is_told(tmp_path, cells, monkeypatch):
    run = measurement(tmp_path, cells, CELLS, 5)
    failed = Measurement(**{**vars(run), "cycles": 9, "proof": Result(1, failures=("differs",))})
    runs = [failed, run]
    monkeypatch.setattr(nms, "prove_and_estimate", lambda *_, **__: runs.pop())
    stream = SimpleNamespace(runs=(None, None), boxes=3)
    row = nms._energy(mapped(tmp_path, "top", nms.FLOW, 1.0), cells, {}, stream, "bench", measured=True)
    assert row["verified"] is False
    assert row["internal"] == pytest.approx(63 * 4 / 3)


def test_schemes_of_suppression_units_say_what_differs():
    single = {"scales": ((0,),), "ratios": ((0,),)}
    common_params = {"format": FORM, "capacity": 16, "method": "psrr", "areas": (100,), "ratios": (1.0,), "stride": 4}
    parallel = NmsParams(**common_params, semantics="parallel", passes=(single, single))
    assert nms_scheme(parallel) == "psrr parallel, 1 lane"
    assert nms_scheme(NmsParams(**common_params, semantics="cascade", passes=(single, single))) == "psrr cascade"
    assert nms_scheme(GREEDY) == "greedy, 2 lanes"


def test_two_images_are_the_least():
    image = clusters(np.random.default_rng(1), FORM, 3)
    assert BoxStream(source="", images=(image, image)).boxes == 3
