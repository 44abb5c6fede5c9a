"""One library from several Liberty files, as vendors ship a large one: gates here, flip-flops there."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from roundel.golden.errors import InputError
from roundel.sim.cache import cached
from roundel.synth.cells.liberty import LibertyGroup, parse, read_text

_TEMPLATES = ("lu_table_template", "power_lut_template")
# What the numbers of every cell mean.
_SHARED = re.compile(
    r".*_unit|nom_.*|default_(.*_pin_cap|cell_leakage_power|operating_conditions)|slew_.*|(in|out)put_threshold_.*"
)


def join_libraries(paths: Sequence[Path]) -> Path:
    """Return a Liberty file with the cells of several, kept in the cache.

    Its name, and its library's, is what the names of the libraries begin with, or all names. Templates of one name
    and different contents are told apart by number.

    Parameters
    ----------
    paths
        Two files or more (.lib, .lib.gz), of one corner and one set of units.

    Raises
    ------
    InputError
        A file is not usable, or differs from the first in units, defaults, supply or temperature; two have one cell.
    """
    texts = {path: read_text(path) for path in paths}
    if len(texts) < len(paths):
        raise InputError(f"{','.join(map(str, paths))}: a file stands there twice")

    def make(folder: Path) -> None:
        roots = {path: _parse(path, text) for path, text in texts.items()}
        _check(roots)
        name = _name([root.name for root in roots.values()])
        (folder / f"{name}.lib").write_text(_joined(name, texts, roots), encoding="utf-8")

    [joined] = cached("joined", list(texts.values()), make).iterdir()
    return joined


def _parse(path: Path, text: str) -> LibertyGroup:
    try:
        return parse(text)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _check(roots: Mapping[Path, LibertyGroup]) -> None:
    """Raise InputError where the numbers of two files mean different things, or a cell stands in both."""
    (first, shared), *_ = ((path, _meaning(root)) for path, root in roots.items())
    owners: dict[str, Path] = {}
    for path, root in roots.items():
        other = _meaning(root)
        for name in sorted(shared.keys() | other.keys()):
            if shared.get(name) != other.get(name):
                raise InputError(
                    f"{path}: {name} is {other.get(name, 'absent')}, but {shared.get(name, 'absent')} in {first}: "
                    "only files of one corner, with the same units, are one library"
                )
        for cell in root.all("cell"):
            if owners.setdefault(cell.name, path) is not path:
                raise InputError(f"{path}: holds the cell {cell.name!r}, as {owners[cell.name]} does")


def _meaning(root: LibertyGroup) -> dict[str, str]:
    """Attributes of the library and of its operating conditions, by name, that scale the numbers of its cells."""
    values = {name: value for name, value in root.attributes.items() if _SHARED.fullmatch(name)}
    for group in root.all("operating_conditions"):
        values |= {f"{group.name}: {name}": value for name, value in group.attributes.items()}
    return {name: "".join(value.replace('"', "").lower().split()) for name, value in values.items()}


def _name(names: Sequence[str]) -> str:
    different = (place for place, letters in enumerate(zip(*names, strict=False)) if len(set(letters)) > 1)
    common = names[0][: next(different, min(map(len, names)))].rstrip("_-.")
    return common if len(common) > 3 else "_and_".join(names)


def _joined(name: str, texts: Mapping[Path, str], roots: Mapping[Path, LibertyGroup]) -> str:
    """Return the first file's library with the cells and templates of the others."""
    (path, root), *others = roots.items()
    text = texts[path]
    parts = [re.sub(r"\(.*?\)", lambda _: f"({name})", text[root.start : root.end - 1], count=1, flags=re.DOTALL)]
    templates = {group.name: _content(text, group) for kind in _TEMPLATES for group in root.all(kind)}
    for path, other in others:
        text = texts[path]
        renamed: dict[str, str] = {}
        for group in (group for kind in _TEMPLATES for group in other.all(kind)):
            content, number, chosen = _content(text, group), 1, group.name
            while templates.setdefault(chosen, content) != content:
                chosen, number = f"{group.name}_{number}", number + 1
            renamed[group.name] = chosen
        kept = (group for group in other.groups if group.kind in ("cell", *_TEMPLATES))
        parts += [_renamed(text[group.start : group.end], renamed) for group in kept]
    return "\n".join(parts) + "\n}\n"


def _content(text: str, group: LibertyGroup) -> str:
    """Return what stands in the braces of a group, without blanks."""
    return "".join(text[group.start : group.end].partition("{")[2].split())


def _renamed(text: str, names: Mapping[str, str]) -> str:
    """Return a group whose references to templates, all `kind (NAME)`, have their new names."""
    changed = {old: new for old, new in names.items() if old != new}
    if not changed:
        return text
    any_of = "|".join(map(re.escape, changed))
    return re.sub(rf"\(\s*\"?({any_of})\"?\s*\)", lambda match: f"({changed[match[1]]})", text)
