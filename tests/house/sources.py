"""Our own source files, parsed, for the house tests."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("engine", "console", "screens")

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, eq=False)
class Source:
    """One Python file of ours."""

    path: Path

    @property
    def name(self) -> str:
        """The path from the root of the checkout, as people write it."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def module(self) -> str:
        """The dotted name that imports it."""
        return self.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.name)

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        return (node for node in ast.walk(self.tree) if isinstance(node, FUNCTION))

    def imports(self) -> "Iterator[Import]":
        """Yield every import statement, inside functions too, with absolute names."""
        yield from _imports(self.tree, self.module, self.path.name == "__init__.py", in_function=False)


@dataclass(frozen=True)
class Import:
    """One imported module; for `from a import b` both `a` and `a.b`, because either may be the module."""

    names: tuple[str, ...]
    line: int
    in_function: bool

    def touches(self, module: str) -> bool:
        """Say whether the import loads the module or anything below it."""
        return any(name == module or name.startswith(module + ".") for name in self.names)


def _imports(node: ast.AST, module: str, is_package: bool, *, in_function: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import((alias.name,), child.lineno, in_function)
        elif isinstance(child, ast.ImportFrom):
            base = _base(child, module, is_package)
            for alias in child.names:
                yield Import((base, f"{base}.{alias.name}"), child.lineno, in_function)
        else:
            inside = in_function or isinstance(child, FUNCTION)
            yield from _imports(child, module, is_package, in_function=inside)


def _base(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    parts = parts[: len(parts) - node.level + is_package]
    return ".".join([*parts, node.module] if node.module else parts)


@cache
def sources(*folders: str) -> tuple[Source, ...]:
    """Return the Python files below the folders (ours, without the tests, when none is named), in name order."""
    found = (path for folder in folders or PACKAGES for path in (ROOT / folder).rglob("*.py"))
    return tuple(Source(path) for path in sorted(found))
