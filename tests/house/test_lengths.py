"""Short functions, short files, and a type on every signature."""

import ast
from collections.abc import Iterator

from tests.house.lengths import (
    FILE_LINES_MAX,
    FILE_LINES_USUAL,
    FILES_WITHIN_USUAL_FRAC,
    FUNCTION_LINES_MAX,
    Length,
    file_lengths,
    function_lengths,
)
from tests.house.sources import FUNCTION, Source, sources


def longer_than(limit: int, lengths: list[Length]) -> list[str]:
    return [f"{length.where}: {length.lines} lines" for length in lengths if length.lines > limit]


def test_no_function_is_longer_than_70_lines() -> None:
    assert longer_than(FUNCTION_LINES_MAX, function_lengths()) == []


def test_no_file_is_longer_than_500_lines() -> None:
    assert longer_than(FILE_LINES_MAX, file_lengths()) == []


def test_nine_files_in_ten_stay_within_350_lines() -> None:
    files = file_lengths()
    long = longer_than(FILE_LINES_USUAL, files)
    assert len(long) <= (1 - FILES_WITHIN_USUAL_FRAC) * len(files), long


def unannotated(source: Source) -> Iterator[str]:
    """Name each parameter and each return without a type; self and cls need none, a lambda can have none."""
    methods = {
        id(child)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
        for child in node.body
        if isinstance(child, FUNCTION) and not _is_static(child)
    }
    for node in source.functions():
        spec = node.args
        named = [*spec.posonlyargs, *spec.args]
        named = named[1:] if id(node) in methods else named
        starred = [each for each in (spec.vararg, spec.kwarg) if each]
        for argument in [*named, *spec.kwonlyargs, *starred]:
            if argument.annotation is None:
                yield f"{source.name}:{node.lineno} {node.name}({argument.arg})"
        if node.returns is None:
            yield f"{source.name}:{node.lineno} {node.name} ->"


def _is_static(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "staticmethod" for each in node.decorator_list)


def test_every_signature_is_annotated() -> None:
    assert [where for source in sources() for where in unannotated(source)] == []
