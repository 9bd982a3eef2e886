"""Which test proves which fault. A test names its faults with a marker: @pytest.mark.fault("P03", "E01").

`python -m tests.house.faults` prints the table; test_faults.py keeps it true.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.house.sources import FUNCTION, Source, sources

CODES = Path(__file__).with_name("fault_codes.txt")
REASONS = Path(__file__).with_name("fault_reasons.txt")
LINE = re.compile(r"([PEACUW]\d\d) (\S.*)")


class MarkerError(ValueError):
    """A fault marker whose codes cannot be read from the source."""


def titles() -> dict[str, str]:
    """Return code -> title, in file order. Raises ValueError on a malformed line or a code given twice."""
    return _read(CODES)


def reasons() -> dict[str, str]:
    """Return code -> why no test can name it here yet. Raises ValueError as titles() does."""
    return _read(REASONS)


def _read(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if not match or match[1] in found:
            raise ValueError(f"{path.name}: {line!r}")
        found[match[1]] = match[2]
    return found


def named_in(source: Source) -> Iterator[tuple[str, str]]:
    """Yield (code, test) for each fault marker; one outside any function or class names the file."""
    return _named(source.tree, source.name, ())


def _named(node: ast.AST, file: str, owner: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        inner = (*owner, child.name) if isinstance(child, (ast.ClassDef, *FUNCTION)) else owner
        if isinstance(child, ast.Call) and ast.unparse(child.func) == "pytest.mark.fault":
            for code in _codes(child, file):
                yield code, "::".join([file, *owner])
        yield from _named(child, file, inner)


def _codes(call: ast.Call, file: str) -> Iterator[str]:
    if call.keywords or not call.args:
        raise MarkerError(f"{file}:{call.lineno}: name the faults, as in fault('P03')")
    for each in call.args:
        if not (isinstance(each, ast.Constant) and isinstance(each.value, str)):
            raise MarkerError(f"{file}:{each.lineno}: write the code out, it is read from the source")
        yield each.value


def covered() -> dict[str, list[str]]:
    """Return code -> the tests that name it, unknown codes too."""
    table: dict[str, set[str]] = defaultdict(set)
    for source in sources("tests"):
        for code, test in named_in(source):
            table[code].add(test)
    return {code: sorted(tests) for code, tests in table.items()}


def report() -> str:
    known, table, why = titles(), covered(), reasons()
    rows = [
        f"{code} {title}\n" + "\n".join(f"    {test}" for test in table.get(code) or [f"no test: {why.get(code, '?')}"])
        for code, title in known.items()
    ]
    return "\n".join([*rows, f"{len(set(known) & set(table))} of {len(known)} faults are named by a test"])


if __name__ == "__main__":
    print(report())
