"""Engine code takes a Clock and an Ids: nothing else reads the time, sleeps or draws random numbers (R27)."""

import ast
from collections.abc import Iterator

import pytest

from tests.house.sources import ROOT, Source, sources

# Where the ambient world comes in, and the only place it may.
PORTS = {"engine/clock.py", "engine/ids.py"}

# file -> (the names it may use, why). An entry that is no longer needed fails the test below.
ALLOWED: dict[str, tuple[set[str], str]] = {}

READS_THE_TIME = {
    *(f"time.{name}{unit}" for name in ("time", "monotonic", "perf_counter", "process_time") for unit in ("", "_ns")),
    *(
        f"time.{name}"
        for name in ("sleep", "clock_gettime", "clock_gettime_ns", "localtime", "gmtime", "ctime", "strftime")
    ),
    *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
    "datetime.date.today",
    "asyncio.sleep",
    "threading.Timer",
}
DRAWS_RANDOM = {"os.urandom", "os.getrandom", "uuid.uuid1", "uuid.uuid4", "secrets", "random", "numpy.random"}
# With a seed these are functions of their input.
SEEDED = {"random.Random", "numpy.random.default_rng", "numpy.random.Generator"}


def origins(tree: ast.Module) -> dict[str, str]:
    """Map each name the file imports to where it comes from: `from time import sleep as nap` gives nap: time.sleep."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                found[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return found


def dotted(node: ast.AST, known: dict[str, str]) -> str | None:
    """Return the full name that an expression such as `dt.datetime.now` stands for, if it starts at an import."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute) and (base := dotted(node.value, known)):
        return f"{base}.{node.attr}"
    return None


def ambient(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and full name of each use of the ambient world."""
    known = origins(tree)
    harmless = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_harmless(node, known)}
    harmless |= _annotations(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Name | ast.Attribute) or id(node) in harmless:
            continue
        name = dotted(node, known)
        if name in READS_THE_TIME or name in SEEDED or (name and _is_random(name)):
            yield node.lineno, name


def _is_random(name: str) -> bool:
    """A draw is an attribute of a random module; naming the module itself, or a type in it, draws nothing."""
    return name not in {"random", "secrets", "numpy.random"} and any(
        name == each or name.startswith(each + ".") for each in DRAWS_RANDOM
    )


def _is_harmless(call: ast.Call, known: dict[str, str]) -> bool:
    """A seeded generator is a function of its seed, and sleep(0) only lets others run."""
    name = dotted(call.func, known)
    if name in SEEDED:
        return bool(call.args or call.keywords)
    return name == "asyncio.sleep" and len(call.args) == 1 and ast.unparse(call.args[0]) == "0"


def _annotations(tree: ast.Module) -> set[int]:
    """Return the ids of the nodes that stand in annotations: `rng: random.Random` draws nothing."""
    roots: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            roots.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            roots.append(node.returns)
    return {id(child) for root in roots for child in ast.walk(root)}


def uses(source: Source) -> list[tuple[int, str]]:
    return list(ambient(source.tree))


def test_the_engine_reads_no_time_and_draws_no_random_outside_its_ports() -> None:
    found = [
        f"{source.name}:{line} {name}"
        for source in sources("engine")
        if source.name not in PORTS
        for line, name in uses(source)
        if name not in ALLOWED.get(source.name, (set(), ""))[0]
    ]
    assert found == [], "take a Clock or an Ids instead"


def test_every_allowance_is_still_needed() -> None:
    for name, (allowed, _reason) in ALLOWED.items():
        used = {found for _line, found in uses(Source(ROOT / name))}
        assert allowed <= used, f"{name} no longer uses {sorted(allowed - used)}"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import time\ntime.time()", ["time.time"]),
        ("import time as t\nt.monotonic_ns()", ["time.monotonic_ns"]),
        ("from time import sleep as nap\nnap(1)", ["time.sleep"]),
        ("from datetime import UTC, datetime\ndatetime.now(UTC)", ["datetime.datetime.now"]),
        ("import datetime\nf = datetime.datetime.utcnow", ["datetime.datetime.utcnow"]),
        ("import asyncio\nasync def f(): await asyncio.sleep(1)", ["asyncio.sleep"]),
        ("import asyncio\nasync def f(): await asyncio.sleep(0)", []),
        ("import random\nrandom.random()", ["random.random"]),
        ("import random\nrandom.Random()", ["random.Random"]),
        ("import random\nrandom.Random(7).random()", []),
        ("import random\ndef f(rng: random.Random) -> random.Random: return rng", []),
        ("from uuid import uuid4\nuuid4()", ["uuid.uuid4"]),
        ("import secrets\nsecrets.token_hex()", ["secrets.token_hex"]),
        ("import os\nos.urandom(8)", ["os.urandom"]),
        ("from datetime import datetime\ndatetime.fromisoformat('2026-01-01')", []),
    ],
)
def test_the_rule_sees_through_aliases(code: str, found: list[str]) -> None:
    assert [name for _line, name in ambient(ast.parse(code))] == found
