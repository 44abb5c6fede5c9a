"""Which small faults can be put into a source file.

What no test could or should see is left out: docstrings, strings, annotations, decorators, assertions, what an error
says, `strict=` of `zip`, `reset_less=` of signals (an area), and how a picture looks (`LOOKS`).
"""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

OTHER_OPERATOR = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "//"),
    ast.Pow: ("**", "*"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.BitXor: ("^", "|"),
    ast.MatMult: ("@", "*"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}
OTHER_COMPARISON = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
OTHER_NAME = {
    name: other
    for pair in (("min", "max"), ("any", "all"), ("minimum", "maximum"), ("floor", "ceil"), ("argmin", "argmax"))
    for name, other in (pair, pair[::-1])
}
LOOKS = {
    *("alpha", "bbox_inches", "bbox_to_anchor", "color", "dpi", "figsize", "fontsize", "framealpha", "frameon"),
    *("layout", "linewidth", "linewidths", "markersize", "ncol", "ncols", "pad", "rotation", "size", "width_ratios"),
    *("lw", "ms", "s", "zorder", "expand", "indent", "justify", "no_wrap"),
}
SILENT = {"strict", "reset_less", *LOOKS}  # keyword arguments that are left alone


class Mutant(NamedTuple):
    """One fault: bytes `start` to `end` of the file replaced by `new`."""

    path: str
    line: int
    start: int
    end: int
    operator: str
    old: str
    new: str

    @property
    def name(self) -> str:
        """Names it in lists and in the file of results."""
        return f"{self.path}:{self.line} {self.operator} `{self.old}` as `{self.new}`"

    def apply(self, source: bytes) -> bytes:
        """Return the file with the fault in it."""
        return source[: self.start] + self.new.encode() + source[self.end :]


def mutants(path: str, source: bytes) -> list[Mutant]:
    """All faults for one file, in the order of the file; a few of them may not `compiles`."""
    everything = set(_Walk(path, source).visit(ast.parse(source)))
    return sorted(everything, key=lambda mutant: (mutant.start, mutant.end, mutant.operator, mutant.new))


def compiles(mutant: Mutant, source: bytes) -> bool:
    """Whether the file with the fault is Python, and another program than before."""
    try:
        return ast.dump(ast.parse(mutant.apply(source))) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


class _Walk:
    """Goes through a syntax tree; positions are bytes of the file."""

    def __init__(self, path: str, source: bytes):
        self.path, self.source = path, source
        self.lines = [0]
        for line in source.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))

    def visit(self, node: ast.AST) -> Iterator[Mutant]:
        """The faults of a node and of all below it."""
        if isinstance(node, ast.If) and "TYPE_CHECKING" in self._text(node.test):
            return
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method:
            yield from method(node)
        for child in self._children(node):
            yield from self.visit(child)

    def _children(self, node: ast.AST) -> list[ast.AST]:
        """What is looked at below a node."""
        if isinstance(node, (ast.JoinedStr, ast.Raise, ast.Assert, ast.Import, ast.ImportFrom)):
            return []
        skipped = {"annotation", "returns", "decorator_list", "type_params"}
        children: list[ast.AST] = []
        for name, value in ast.iter_fields(node):
            if name not in skipped:
                children += [
                    item for item in (value if isinstance(value, list) else [value]) if isinstance(item, ast.AST)
                ]
        return [child for child in children if not (isinstance(child, ast.keyword) and child.arg in SILENT)]

    def _at(self, node: ast.AST) -> tuple[int, int]:
        start = self.lines[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        return start, self.lines[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]

    def _text(self, node: ast.AST) -> str:
        start, end = self._at(node)
        return self.source[start:end].decode()

    def _make(self, node: ast.AST, operator: str, new: str) -> Iterator[Mutant]:
        start, end = self._at(node)
        line = node.lineno  # type: ignore[attr-defined]
        yield Mutant(self.path, line, start, end, operator, self.source[start:end].decode(), new)

    def _between(
        self, node: ast.AST, left: ast.AST, right: ast.AST, words: tuple[str, str], operator: str
    ) -> Iterator[Mutant]:
        """Replace the operator between two operands; the whole is put into parentheses."""
        start, end = self._at(node)
        low, high = self._at(left)[1], self._at(right)[0]
        token = re.search(rf"(?<![\w*/<>=!]){re.escape(words[0])}(?![\w*/<>=])", self.source[low:high].decode())
        if token:
            head, tail = self.source[start : low + token.start()], self.source[low + token.end() : end]
            yield from self._make(node, operator, f"({head.decode()}{words[1]}{tail.decode()})")

    def _binop(self, node: ast.BinOp) -> Iterator[Mutant]:
        sides = (node.left, node.right)
        if not any(isinstance(side, ast.JoinedStr) or _is_string(side) for side in sides):
            yield from self._between(node, *sides, OTHER_OPERATOR[type(node.op)], "arithmetic")

    def _boolop(self, node: ast.BoolOp) -> Iterator[Mutant]:
        for left, right in zip(node.values, node.values[1:], strict=False):
            yield from self._between(node, left, right, OTHER_OPERATOR[type(node.op)], "boolean")

    def _compare(self, node: ast.Compare) -> Iterator[Mutant]:
        operands = [node.left, *node.comparators]
        for left, right, operator in zip(operands, operands[1:], node.ops, strict=False):
            yield from self._between(node, left, right, OTHER_COMPARISON[type(operator)], "comparison")

    def _unaryop(self, node: ast.UnaryOp) -> Iterator[Mutant]:
        start, end = self._at(node)
        word = "not" if isinstance(node.op, ast.Not) else self.source[start : start + 1].decode()
        yield from self._make(node, "sign", f"({self.source[start + len(word) : end].decode().strip()})")

    def _constant(self, node: ast.Constant) -> Iterator[Mutant]:
        if isinstance(node.value, bool):
            yield from self._make(node, "constant", str(not node.value))
        elif isinstance(node.value, int):
            yield from self._make(node, "constant", str(node.value + 1))
            yield from self._make(node, "constant", str(node.value - 1) if node.value else "(-1)")
        elif isinstance(node.value, float):
            yield from self._make(node, "constant", repr(node.value * 2 if node.value else 1.0))

    def _keyword(self, node: ast.keyword) -> Iterator[Mutant]:
        if node.arg == "init" and isinstance(node.value, (ast.Compare, ast.Attribute, ast.Name)):
            yield from self._make(node.value, "init", "0")

    def _call(self, node: ast.Call) -> Iterator[Mutant]:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in OTHER_NAME:
            text = self._text(node.func)
            yield from self._make(node.func, "name", text[: -len(name)] + OTHER_NAME[name])
        if name in ("If", "Elif") and len(node.args) == 1:
            yield from self._make(node.args[0], "condition", f"({self._text(node.args[0])}) == 0")
        if name == "Mux" and len(node.args) == 3:
            first, second, third = map(self._text, node.args)
            yield from self._make(node, "condition", f"Mux({first}, {third}, {second})")

    def _test(self, node: ast.If | ast.While | ast.IfExp) -> Iterator[Mutant]:
        yield from self._make(node.test, "condition", f"(not ({self._text(node.test)}))")

    _if = _while = _ifexp = _test

    def _comprehension(self, node: ast.comprehension) -> Iterator[Mutant]:
        for test in node.ifs:
            yield from self._make(test, "condition", f"(not ({self._text(test)}))")

    def _return(self, node: ast.Return) -> Iterator[Mutant]:
        if node.value and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield from self._make(node, "return", "return None")

    def _list(self, node: ast.List) -> Iterator[Mutant]:
        for item in node.elts:
            if isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute) and item.func.attr == "eq":
                yield from self._make(item, "statement", "[]")

    def _gone(self, node: ast.Raise | ast.AugAssign) -> Iterator[Mutant]:
        yield from self._make(node, "statement", "pass")

    _raise = _augassign = _gone

    def _expr(self, node: ast.Expr) -> Iterator[Mutant]:
        if isinstance(node.value, ast.Call):
            yield from self._make(node, "statement", "pass")

    def _assign(self, node: ast.Assign) -> Iterator[Mutant]:
        if all(isinstance(target, (ast.Attribute, ast.Subscript)) for target in node.targets):
            yield from self._make(node, "statement", "pass")

    def _break(self, node: ast.Break) -> Iterator[Mutant]:
        yield from self._make(node, "statement", "continue")

    def _continue(self, node: ast.Continue) -> Iterator[Mutant]:
        yield from self._make(node, "statement", "break")


def _is_string(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
