"""The command line: what it writes, what it says about bad input, and with which exit code."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from roundel.hw.units import UNITS
from tests.support.command import call
from tests.support.places import ROOT


def test_generate_writes_verilog_and_manifest(tmp_path, capsys):
    assert call("generate", "requant", "--set", "scheme=fixed8", "--set", "pipeline=true", "-o", tmp_path / "out") == 0
    sheet = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert sheet["parameters"]["scheme"] == "fixed8"
    assert sheet["latency_cycles"] == 2
    assert "module requant(" in (tmp_path / "out" / "requant.v").read_text()
    fields = {field["name"]: field for port in sheet["ports"] for field in port.get("fields", ())}
    assert fields["params.multiplier"] == {"name": "params.multiplier", "offset": 32, "width": 8, "signed": False}
    assert "latency 2 cycles" in capsys.readouterr().out


def test_generate_takes_decimals_and_lists(tmp_path):
    settings = ("alpha=7.5e-1", "guard=.25", "areas=4096,16384", "ratios=1.", "capacity=16", "semantics=parallel")
    options = [word for setting in settings for word in ("--set", setting)]
    assert call("generate", "nms", *options, "--set", "shift=none", "-o", tmp_path) == 0
    sheet = json.loads((tmp_path / "manifest.json").read_text())
    assert sheet["derived"]["areas"] == [4096, 16384]
    assert (sheet["derived"]["alpha"], sheet["derived"]["guard"], sheet["derived"]["ratios"]) == (0.75, [1, 4], [1.0])
    assert "initial begin" not in (tmp_path / "nms.v").read_text()  # no line for each word of a memory


def test_generate_reaches_into_inner_parameters(tmp_path, capsys):
    settings = ("lanes=2", "columns=2", "reduction=16", "requant.scheme=shift_const", "requant.shift=3")
    options = [word for setting in settings for word in ("--set", setting)]
    assert call("generate", "mac", *options, "-o", tmp_path, "--json") == 0
    sheet = json.loads(capsys.readouterr().out)
    assert sheet["parameters"]["requant"]["shift"] == 3
    assert sheet == json.loads((tmp_path / "manifest.json").read_text())


def test_output_does_not_depend_on_the_folder(tmp_path):
    for name in ("a", "b"):
        assert call("generate", "requant", "-o", tmp_path / name) == 0
    for file in ("requant.v", "manifest.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_units_lists_all(capsys):
    assert call("units", "--json") == 0
    assert [row["unit"] for row in json.loads(capsys.readouterr().out)] == list(UNITS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("generate", "nothing"), "unknown unit 'nothing', expected one of requant, mac"),
        (("generate", "requant", "--set", "scheme=magic"), "scheme must be one of shift_const, shift"),
        (("generate", "requant", "--set", "speed=9"), "unit requant has no parameter 'speed', expected one of scheme"),
        (("generate", "requant", "--set", "acc_width"), "--set 'acc_width': expected key=value"),
        (("generate", "requant", "--set", "acc_width=64"), "unit requant: acc_width must be 16 to 48, not 64"),
        (("generate", "requant", "--set", "acc_width=wide"), "acc_width must be an integer, not 'wide'"),
        (("generate", "mac", "--set", "requant.magic=1"), "unit mac has no parameter 'requant.magic'"),
        (("generate", "mac", "--set", "lanes.width=1"), "'lanes' in 'lanes.width' has no parameters of its own"),
        (
            ("generate", "nms", "--set", "format=640x480"),
            "unit nms: format is no single value: set format.width, format.h",
        ),
        (("generate", "nms", "--set", "method=psrr", "--set", "lanes=2"), "not 2; semantics=parallel allows more"),
        (("generate", "mac", "--set", "lanes=0"), "unit mac: lanes must be 1 to 64, not 0"),
        (("compare", "requant", "--cells", "missing.lib"), "missing.lib"),
        (("compare", "requant", "--set", "acc_width=16"), "more than acc_width"),
        (("compare", "requant", "--stimulus", "missing.npz"), "missing.npz"),
        (("compare", "requant", "--set", "scheme=fixed8"), "scheme cannot be set, all schemes are compared"),
        (("compare", "requant", "--images", "0"), "0 is not in the range x>=1"),
        (("compare", "requant", "--images", "401"), "holds 400 images, not 401"),
        (("compare", "--set", "acc_width=24"), "--set and --stimulus need one unit to compare"),
        (("generate", "mac", "--set", "requant=3", "--set", "requant.relu=true"), "'requant' is set as a whole and by"),
        (("generate", "requant", "--set", f"acc_width={'9' * 5000}"), "acc_width must be an integer"),
        (("bench", "requant", "--seed", "-1"), "-1 is not in the range 0<=x<=18446744073709551615"),
        (("compare", "nothing"), "nothing to compare for unit 'nothing'"),
        (("demo", "--model", "missing.onnx"), "missing.onnx"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments, message, tmp_path, capsys):
    assert call(*arguments, "-o", tmp_path / "out") == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert message in said[-1]
    assert len([line for line in said if line.startswith("roundel:")]) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["truncated", "no flip-flop", "not Liberty"])
def test_bad_liberty_files(damage, tmp_path, capsys):
    from roundel.synth.cells import REFERENCE

    text = REFERENCE.read_text()
    texts = {
        "truncated": text[: len(text) // 2],
        "no flip-flop": "library (x) { cell (inv) { area : 1; } }",
        "not Liberty": "hello",
    }
    file = tmp_path / "cells.lib"
    file.write_text(texts[damage])
    assert call("compare", "requant", "--cells", file, "-o", tmp_path / "out") == 2
    assert str(file) in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file(tmp_path, capsys):
    (tmp_path / "out").write_text("mine")
    assert call("generate", "requant", "-o", tmp_path / "out") == 2
    assert "is a file, expected a folder" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_nothing_moves_when_one_file_is_in_the_way(tmp_path, capsys):
    (tmp_path / "requant.v").mkdir()
    assert call("generate", "requant", "-o", tmp_path) == 2
    said = capsys.readouterr().err
    assert "requant.v: is in the way, expected nothing or a file; what was made lies in " in said
    kept = Path(said.strip().rpartition(" lies in ")[2])
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "requant.v", kept])
    assert "module requant(" in (kept / "requant.v").read_text()


def test_libraries_that_share_a_name_are_refused(tmp_path, capsys):
    from roundel.synth.cells import REFERENCE

    copy = tmp_path / "copy.lib"
    copy.write_bytes(REFERENCE.read_bytes())
    assert call("compare", "requant", "--cells", "reference", "--cells", copy, "-o", tmp_path / "out") == 2
    assert "copy.lib: holds the library 'roundel_reference'" in capsys.readouterr().err


def test_a_fault_of_the_program_is_no_mismatch(monkeypatch, capsys):
    monkeypatch.setattr("roundel.generator.describe_units", lambda: 1 / 0)
    assert call("units") == 70
    assert "ZeroDivisionError, a fault of this program" in capsys.readouterr().err


def test_verify_prints_a_table_and_json(capsys):
    assert call("verify", "requant", "--config", "shift_half_up", "--json") == 0
    captured = capsys.readouterr()
    rows = json.loads(captured.out)
    assert [row["config"] for row in rows] == ["shift_half_up", "shift_half_up, stalls"]
    assert all(row["passed"] for row in rows)
    assert "Verilator" in captured.err
    assert "seed 1" in captured.err


def test_verify_exits_with_1_on_a_mismatch(monkeypatch, capsys):
    from roundel.golden.requant import RequantParams
    from roundel.hw import units
    from roundel.hw.requant import Requantizer

    def wrong(params: RequantParams) -> Requantizer:
        return Requantizer(RequantParams(**{**params.as_dict(), "rounding": "floor"}))

    broken = units.Unit(**{**vars(UNITS["requant"]), "component": wrong})
    monkeypatch.setattr("roundel.runtime.verification.find_unit", lambda name: broken)
    assert call("verify", "requant", "--config", "shift_half_up") == 1
    said = capsys.readouterr()
    assert "golden" in said.err
    assert "DIFFERS" in said.out


def test_verify_exits_with_3_where_the_harness_failed(monkeypatch, capsys):
    """The other cases still run, and none is said to differ."""
    from roundel.golden.errors import ToolError
    from roundel.sim import verify

    def broken(*given, **keywords):
        if given[0].config["stalls"]:
            raise ToolError("no space left")
        return verify.Result(1)

    monkeypatch.setattr(verify, "prove", broken)
    assert call("verify", "requant", "--config", "shift_half_up", "--json") == 3
    said = capsys.readouterr()
    assert [(row["passed"], row["failures"], row["errors"]) for row in json.loads(said.out)] == [
        (True, [], []),
        (False, [], ["no space left"]),
    ]
    assert "requant shift_half_up, stalls: the harness failed: no space left" in said.err
    assert "1 passed, 0 failed, 1 not known" in said.err


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**32, 20261130000, 2**64 - 1])
def test_verify_takes_any_seed_of_64_bits(seed, capsys):
    assert call("verify", "requant", "--config", "shift_half_up", "--seed", seed, "--json") == 0
    assert [row["seed"] for row in json.loads(capsys.readouterr().out)] == [seed, seed]


@pytest.mark.parametrize("seed", [-1, 2**64, 10**30, "one"])
@pytest.mark.parametrize("command", [("verify",), ("bench", "-o", "out")])
def test_a_seed_out_of_range_is_refused_in_a_line(command, seed, capsys):
    assert call(*command, "--seed", seed) == 2
    said = capsys.readouterr().err
    assert "'--seed'" in said
    assert said.count("\n") == 1


def test_verify_refuses_an_unknown_configuration(capsys):
    assert call("verify", "requant", "--config", "nothing") == 2
    assert "unknown configuration 'nothing'" in capsys.readouterr().err


def test_too_little_memory_is_one_line(monkeypatch, capsys):
    def huge(*_: object, **__: object) -> object:
        return np.zeros(1 << 60, np.uint8)

    monkeypatch.setattr("roundel.generator.describe_units", huge)
    assert call("units") == 2
    said = capsys.readouterr().err
    assert said.startswith("roundel: not enough memory for this input: Unable to allocate 1.00 EiB")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("latin-1", r"3 \xb5m\xb2 \xd7 4 -> ...conv \\u0441\\u043b \\udcff"),
        ("cp1252", r"3 \xb5m\xb2 \xd7 4 -> \x85conv \\u0441\\u043b \\udcff"),
        ("utf-8", r"3 \xc2\xb5m\xc2\xb2 \xc3\x97 4 \xe2\x86\x92 \xe2\x80\xa6conv \xd1\x81\xd0\xbb \\udcff"),
    ],
)
def test_a_terminal_of_any_encoding_gets_all_of_a_text(encoding, shown, monkeypatch):
    from roundel.ui import out

    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("roundel.generator.describe_units", lambda: out.print("3 µm² × 4 → …conv сл \udcff") or [])
    assert call("units") == 0
    stream.flush()
    assert stream.buffer.getvalue().startswith(shown.encode().decode("unicode_escape").encode("latin-1"))
    assert stream.errors == "strict"


def test_json_is_the_same_on_every_terminal(monkeypatch):
    texts = []
    for encoding in ("latin-1", "ascii", "utf-8"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr("sys.stdout", stream)
        assert call("units", "--json") == 0
        stream.flush()
        texts.append(stream.buffer.getvalue())
    assert texts[0] == texts[1] == texts[2]
    assert json.loads(texts[0])


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_full_disk_behind_stdout_is_one_line(form):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "roundel", "units", *form]
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "roundel: stdout: cannot be written (No space left on device)\n")


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_the_exit_code_stands_when_nobody_reads_on(form):
    script = f"""
from roundel.cli import main
from roundel.runtime import Verification
from roundel.sim.runner import Result
from roundel.sim.verify import cases
from roundel.hw.units import UNITS
import roundel, sys
outcomes = tuple((case, Result(1, ("it differs",))) for case in cases(UNITS["requant"]) * 100)
roundel.verify = lambda *_, **__: Verification(seed=1, simulator="none", outcomes=outcomes)
main.main(["verify", *{form!r}])
"""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, stdout=write, stderr=subprocess.DEVNULL, check=False)
    os.close(write)
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("work", "arguments"),
    [
        ("roundel.evaluation.outcome.run_jobs", ("compare", "requant")),
        ("roundel.demo.outcome.measure_demo", ("demo",)),
        ("roundel.runtime.outcome.read_images", ("run", "network", "--input", "images.npz", "--on", "rtl")),
    ],
)
def test_a_cache_that_cannot_be_written_is_refused_before_the_work(work, arguments, tmp_path, monkeypatch, capsys):
    (tmp_path / "cache").touch()
    monkeypatch.setenv("ROUNDEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(work, lambda *_, **__: pytest.fail("work was done"))
    assert call(*arguments, "-o", tmp_path / "out") == 2
    assert capsys.readouterr().err == f"roundel: ROUNDEL_CACHE: {tmp_path / 'cache'} cannot be written (File exists)\n"
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
