"""Parts of a network: what runs on the engine, and what a host computes before, between and behind.

[R] A part of the engine is all that depends on the image through one tensor alone, the part's input, and that the
engine can do: one pass finds for every operator the tensor that all of it comes from, as a flow graph's dominators are
found. What is left belongs to the host, ordered by how often the way to it has changed sides, so that each part runs
when all its inputs are there.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from roundel.frontend.operators import PASSING
from roundel.frontend.parts.examination import LATE, Examination, Verdict
from roundel.golden.errors import InputError

ROUNDS = 8  # of moving quantizers whose integers leave a part to the host, after which all of the part goes there


class Host(StrEnum):
    """What may be left to a host.

    Attributes
    ----------
    REFUSE
        Nothing but Softmax and Sigmoid at the end, whose inputs are the results.
    TAIL
        All that lies before and behind one part of the engine.
    ANY
        All that the engine cannot do, between several parts of it as well.
    """

    REFUSE = "refuse"
    TAIL = "tail"
    ANY = "any"


@dataclass(frozen=True, kw_only=True, eq=False)
class NetworkPart:
    """Operators that run together in one place.

    Attributes
    ----------
    engine
        Whether that is the engine.
    verdicts
        The operators, in the file's order.
    inputs
        Tensors that it takes from the image or from parts before it; one on the engine.
    outputs
        Tensors that parts behind it or the user read, those for the first outputs of the file first.
    """

    engine: bool
    verdicts: tuple[Verdict, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def macs(self) -> int:
        """Products for one image."""
        return sum(item.macs for item in self.verdicts)


@dataclass(frozen=True, kw_only=True, eq=False)
class Partition:
    """All parts of a network.

    Attributes
    ----------
    examination
        The file, operator by operator.
    parts
        In the order in which they run.
    without
        Tensors whose operators were left to the host although the engine could do each by itself, and why.
    """

    examination: Examination
    parts: tuple[NetworkPart, ...]
    without: Mapping[str, str] = field(default_factory=dict)

    @property
    def engine(self) -> tuple[NetworkPart, ...]:
        """The parts that run on the engine."""
        return tuple(part for part in self.parts if part.engine)

    @property
    def host(self) -> tuple[NetworkPart, ...]:
        """The parts that run on the host."""
        return tuple(part for part in self.parts if not part.engine)

    @property
    def share(self) -> float:
        """Part of all products that the engine computes, 0 to 1."""
        macs = self.examination.macs
        return sum(part.macs for part in self.engine) / macs if macs else float(bool(self.engine))


def divide(examination: Examination, host: Host, without: Mapping[str, str] = MappingProxyType({})) -> Partition:
    """Divide a network into parts.

    Parameters
    ----------
    examination
        The file, operator by operator.
    host
        `TAIL`: one part on the engine, the one with most products. `ANY`: all that have any.
    without
        Tensors whose operators are left to the host all the same, and why.

    Returns
    -------
    Partition
        The parts; no part of the engine where it could compute no products.

    Raises
    ------
    InputError
        An output that does not depend on the input, or that is the input itself.
    """
    _check_outputs(examination)
    operators = [item for item in examination.verdicts if not item.constant and not _is_name(examination, item)]
    first = _first_outputs(examination, operators)
    operators = [item for item in operators if any(name in first for name in item.makes)]
    barred = {place for place, item in enumerate(operators) if any(name in without for name in item.makes)}
    for attempt in range(ROUNDS + 1):
        owners = _owners(examination, operators, barred)
        kept = _kept(operators, owners, host)
        owners = {place: owner for place, owner in owners.items() if owner in kept}
        late = set() if examination.late else _late(operators, owners)
        stuck = _integers_leave(examination, operators, owners) | late
        if not stuck:
            break
        groups = {owners[place] for place in stuck} if attempt == ROUNDS - 1 else set()
        barred |= stuck | {place for place, owner in owners.items() if owner in groups}
    parts = _ordered(examination, operators, owners, first)
    return Partition(examination=examination, parts=parts, without=without)


def _check_outputs(examination: Examination) -> None:
    made = {name for item in examination.verdicts if not item.constant for name in item.makes}
    for item in examination.model.graph.output:
        if examination.scope.aliases.get(item.name, item.name) == examination.scope.source:
            raise InputError(f"{examination.file}: output {item.name} is the input itself")
        if item.name not in made:
            raise InputError(f"{examination.file}: output {item.name} does not depend on the input")


def _is_name(examination: Examination, item: Verdict) -> bool:
    """Whether an operator only gives a tensor another name."""
    return item.reason is None and not item.nodes and item.proto.output[0] in examination.scope.aliases


def _owners(examination: Examination, operators: list[Verdict], barred: set[int]) -> dict[int, str]:
    """Return the tensor that each operator on the engine comes from alone, by the operator's place."""
    scope = examination.scope
    source = {scope.source: scope.source}  # the tensor that each tensor comes from
    owners = {}
    for place, item in enumerate(operators):
        roots = {source[name] for name in item.reads}
        root = next(iter(roots)) if len(roots) == 1 else None
        fits = root is not None and len(scope.shapes.get(root, ())) in (1, 3)
        if item.reason is None and place not in barred and root is not None and fits:
            owners[place] = root
        source.update({name: owners.get(place, name) for name in item.makes})
    return owners


def _kept(operators: list[Verdict], owners: Mapping[int, str], host: Host) -> set[str]:
    """Return the inputs of the parts that are worth the engine: those with products, or the first with most."""
    macs: dict[str, int] = {}
    for place, owner in owners.items():
        macs[owner] = macs.get(owner, 0) + operators[place].macs
    busy = [owner for owner, count in macs.items() if count]
    return set(busy) if host is Host.ANY or not busy else {max(busy, key=lambda owner: macs[owner])}


def _integers_leave(examination: Examination, operators: list[Verdict], owners: Mapping[int, str]) -> set[int]:
    """Return operators of the engine that make or read a quantizer's integers which cross to or from the host."""
    scope = examination.scope
    codes = {*scope.codes, *scope.open, *(name for name in scope.views if name not in scope.shapes)}
    makers = {name: place for place, item in enumerate(operators) for name in item.makes if name in codes}
    stuck: set[int] = set()
    for name in (item.name for item in examination.model.graph.output):
        name = scope.aliases.get(name, name)
        stuck |= {makers[name]} & set(owners) if name in makers else set()
    for place, item in enumerate(operators):
        for maker in (makers[name] for name in item.reads if name in makers):
            if (maker in owners) != (place in owners):
                stuck.add(maker if maker in owners else place)
    return stuck


def _late(operators: list[Verdict], owners: Mapping[int, str]) -> set[int]:
    """Return functions of `LATE` on the engine that nothing but quantizers reads there: the host computes them."""
    inside: set[tuple[str, str]] = set()  # tensors that others of their part read, by the part's input
    late = set()
    for place in reversed(range(len(operators))):
        item, owner = operators[place], owners.get(place)
        if owner is None:
            continue
        ends = not any((owner, name) in inside for name in item.makes)
        if ends and item.operator in LATE:
            late.add(place)
        if not (ends and item.operator in PASSING):
            inside.update((owner, name) for name in item.reads)
    return late


def _ordered(
    examination: Examination, operators: list[Verdict], owners: Mapping[int, str], first: Mapping[str, int]
) -> tuple[NetworkPart, ...]:
    """Return the parts by rank: how often the way from the image to them changes sides."""
    rank = {examination.scope.source: 0}  # of each tensor; those of the engine are odd
    groups: dict[tuple[int, str], list[Verdict]] = {}
    for place, item in enumerate(operators):
        owner = owners.get(place, "")
        if owner:
            own = rank[owner] + 1
        else:
            own = max((rank[name] + rank[name] % 2 for name in item.reads), default=0)
        rank.update(dict.fromkeys(item.makes, own))
        groups.setdefault((own, owner), []).append(item)
    keys = sorted(groups, key=lambda key: key[0])
    uses = Counter(name for item in operators for name in item.reads)
    return tuple(_part(examination, uses, groups[key], bool(key[1]), first) for key in keys)


def _first_outputs(examination: Examination, operators: list[Verdict]) -> dict[str, int]:
    """Return the place of the first output of the file that needs each tensor; others are not needed."""
    aliases, first = examination.scope.aliases, dict[str, int]()
    for place, output in reversed(list(enumerate(examination.model.graph.output))):
        first[aliases.get(output.name, output.name)] = place
    for item in reversed(operators):
        places = [first[name] for name in item.makes if name in first]
        for name in item.reads if places else ():
            first[name] = min(*places, first.get(name, len(operators)), len(operators))
    return first


def _part(
    examination: Examination, uses: Mapping[str, int], items: list[Verdict], engine: bool, first: Mapping[str, int]
) -> NetworkPart:
    """Return a part with the tensors that it takes and gives; `uses` counts the operators that read each."""
    own = Counter(name for item in items for name in item.reads)
    made = [name for item in items for name in item.makes]
    here = set(made)
    inputs = dict.fromkeys(name for item in items for name in item.reads if name not in here)
    outputs = [name for name in made if uses[name] > own[name]] + _results(examination, made)
    order = {name: place for place, name in enumerate(outputs)}
    aliases = examination.scope.aliases

    def place(name: str) -> tuple[int, int]:
        return first.get(aliases.get(name, name), len(first)), order[name]

    return NetworkPart(
        engine=engine,
        verdicts=tuple(items),
        inputs=tuple(inputs),
        outputs=tuple(sorted(dict.fromkeys(outputs), key=place)),
    )


def _results(examination: Examination, made: Iterable[str]) -> list[str]:
    """Return the outputs of the file that are tensors of `made`, under their own names."""
    aliases, here = examination.scope.aliases, set(made)
    names = [item.name for item in examination.model.graph.output]
    return [name for name in names if aliases.get(name, name) in here]
