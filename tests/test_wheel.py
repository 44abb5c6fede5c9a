"""The wheel in empty environments outside the checkout: `make wheel` builds it and the sdist, then runs this file."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.places import ROOT

pytestmark = pytest.mark.wheel

DIST = ROOT / "dist"


def call(*words: str | Path, folder: Path, timeout: float = 1800) -> str:
    """Run a command in a folder, without anything of the checkout on Python's path; its output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout + done.stderr


def built(pattern: str) -> Path:
    """The one file of dist/ that matches."""
    [path] = DIST.glob(pattern)
    return path


def contents(wheel: Path) -> dict[str, bytes]:
    """The bytes of every file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def wheel_of_sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that was built from the sdist, not from the checkout."""
    folder = tmp_path_factory.mktemp("sdist")
    words = ("wheel", "-q", "--no-deps", "--no-build-isolation", "--no-cache-dir", "-w", folder, built("*.tar.gz"))
    call(sys.executable, "-m", "pip", *words, folder=folder)
    [wheel] = folder.glob("*.whl")
    return wheel


def installed(wheel: Path, folder: Path) -> Path:
    """A new environment with a wheel and what its metadata asks for, in the versions of requirements.lock; its bin/."""
    pins = re.findall(r"^([a-z0-9-]+==[^ ;]+)( ;[^\\\n]*)?", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    (folder / "pins.txt").write_text("".join(f"{pin}{marker}\n" for pin, marker in pins))
    call(sys.executable, "-m", "venv", folder / "venv", folder=folder)
    binaries = folder / "venv" / "bin"
    call(binaries / "pip", "install", "-q", "-c", folder / "pins.txt", wheel, folder=folder)
    return binaries


@pytest.fixture(scope="module", params=["checkout", "sdist"])
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin/ of an environment with the wheel of the checkout, and with the wheel of the sdist."""
    wheel = built("*.whl") if request.param == "checkout" else request.getfixturevalue("wheel_of_sdist")
    return installed(wheel, tmp_path_factory.mktemp(request.param))


def test_the_wheel_has_one_top_level_name_and_all_files_that_are_no_code() -> None:
    names = [name for name in contents(built("*.whl")) if ".dist-info/" not in name]
    assert {name.partition("/")[0] for name in names} == {"roundel"}
    packaged = {path.relative_to(ROOT).as_posix() for path in (ROOT / "roundel" / "data").rglob("*") if path.is_file()}
    for link in ("golden", "hw", "sim", "synth"):
        files = [path for path in (ROOT / "roundel" / link).resolve().rglob("*") if path.is_file()]
        packaged |= {f"roundel/{link}/{path.relative_to((ROOT / 'roundel' / link).resolve())}" for path in files}
    packaged = {name for name in packaged if "__pycache__" not in name}
    assert packaged <= set(names)
    assert {"roundel/py.typed", "roundel/sim/engine_memory.sv", "roundel/synth/cells/reference.lib"} <= set(names)


def test_the_data_of_the_wheel_is_below_three_megabytes() -> None:
    with zipfile.ZipFile(built("*.whl")) as archive:
        sizes = [item.file_size for item in archive.infolist() if item.filename.startswith("roundel/data/")]
    assert 100_000 < sum(sizes) < 3_000_000


def test_the_sdist_gives_the_same_wheel(wheel_of_sdist: Path) -> None:
    assert contents(wheel_of_sdist) == contents(built("*.whl"))


def test_the_command_line_answers(environment: Path, tmp_path: Path) -> None:
    assert call(environment / "python", "-m", "roundel", "--help", folder=tmp_path).startswith(
        "Usage: python -m roundel"
    )
    assert call(environment / "roundel", "--version", folder=tmp_path).startswith("roundel, version ")
    where = call(environment / "python", "-c", "import roundel; print(roundel.__file__)", folder=tmp_path)
    assert Path(where.strip()).is_relative_to(environment.parent)


def test_the_demo_runs(environment: Path, tmp_path: Path) -> None:
    call(environment / "roundel", "demo", "-o", "demo", folder=tmp_path)
    assert "Result: **RTL equal to golden in 8 scenes" in (tmp_path / "demo" / "demo.md").read_text()


def test_requantizers_are_compared(environment: Path, tmp_path: Path) -> None:
    call(environment / "roundel", "compare", "requant", "-o", "compare", folder=tmp_path)
    assert "fixed32" in (tmp_path / "compare" / "report.md").read_text()


@pytest.mark.parametrize("environment", ["sdist"], indirect=True)  # of two equal wheels one: it takes minutes
def test_suppression_is_measured_without_onnxruntime(environment: Path, tmp_path: Path) -> None:
    output = call(environment / "roundel", "bench", "nms", "-o", "bench", folder=tmp_path)
    assert "without compiled GreedyNMS" in " ".join(output.split())
    figures = (tmp_path / "bench" / "bench.json").read_text()
    assert '"nms.boxes_per_cycle"' in figures
    assert "compiled" not in figures


def snippet() -> str:
    """The Python lines of README.md."""
    [lines] = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return lines


def test_the_readmes_python_lines_run(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "snippet.py").write_text(snippet())
    assert re.search(
        r"^187 boxes in 20 images$", call(environment / "python", "snippet.py", folder=tmp_path), re.MULTILINE
    )
    assert (tmp_path / "verilog" / "engine.v").is_file()


def test_mypy_knows_the_readmes_python_lines_from_the_wheel_alone(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "snippet.py").write_text(snippet() + "\nreveal_type(roundel.compress)\nroundel.no_such_name\n")
    words = ("--strict", "--python-executable", environment / "python", "snippet.py")
    done = subprocess.run([sys.executable, "-m", "mypy", *words], cwd=tmp_path, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("snippet.py")]
    revealed, wrong = lines
    assert re.search(r"Revealed type is .*CompressedNetwork", revealed), done.stdout
    assert "has no attribute" in wrong, done.stdout
