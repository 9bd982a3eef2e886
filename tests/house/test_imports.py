"""The one-way rule: what import-linter can say is in pyproject.toml and run here; the rest reads the syntax trees."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.house.sources import PACKAGES, ROOT, Import, Source, sources

GROUND_FLOOR = {f"engine.{name}" for name in ("clock", "ids", "errors", "paths", "keys", "logs", "expressions")}
SDKS = ("anthropic", "openai")
SQLITE = ("sqlite3", "aiosqlite", "sqlite_utils")
# paper.db is the paper venue's own truth, not the store's (R37)
SQLITE_USERS = ("engine.store", "engine.execution.paper_store")

# What `import engine.api` must not load: a client that only talks to an engine starts without them.
HEAVY = ("textual", "rich", "ccxt", *SDKS, "talib", "numpy", "sqlite_utils", "keyring")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)


def test_the_api_loads_no_user_interface_no_venue_library_and_no_sdk() -> None:
    code = "import engine.api, json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) & set(HEAVY) == set()


def test_the_contracts_of_import_linter_hold() -> None:
    done = run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def last(module: str) -> str:
    return module.rpartition(".")[2]


def ours(each: Import) -> str | None:
    """Return what the import names, when it is ours: `from engine.api import Snapshot` names engine.api.Snapshot."""
    return each.names[-1] if within(each.names[0], *PACKAGES) else None


def breach_of_screens(source: Source, each: Import) -> bool:
    """Screens import engine.api alone."""
    target = ours(each)
    return within(source.module, "screens") and target is not None and not within(target, "screens", "engine.api")


def breach_of_console(source: Source, each: Import) -> bool:
    """The console imports screens, engine.api and engine.runtime."""
    target = ours(each)
    allowed = ("console", "screens", "engine.api", "engine.runtime")
    return within(source.module, "console") and target is not None and not within(target, *allowed)


def breach_of_runtime(source: Source, each: Import) -> bool:
    """Only the console imports engine.runtime."""
    return each.touches("engine.runtime") and not within(source.module, "console", "engine.runtime")


def breach_of_domain(source: Source, each: Import) -> bool:
    """The domain stands on the standard library and the ground floor, and is pure."""
    if not within(source.module, "engine.domain"):
        return False
    target = ours(each)
    if target is not None:
        return not within(target, "engine.domain", *GROUND_FLOOR)
    return each.names[0].partition(".")[0] not in sys.stdlib_module_names


def breach_of_sqlite(source: Source, each: Import) -> bool:
    """Only the store, and the paper venue's own file, know SQLite."""
    return any(each.touches(name) for name in SQLITE) and not within(source.module, *SQLITE_USERS)


def breach_of_ccxt(source: Source, each: Import) -> bool:
    """Only modules named ccxt_* know ccxt."""
    return each.touches("ccxt") and not last(source.module).startswith("ccxt_")


def breach_of_sdks(source: Source, each: Import) -> bool:
    """Only the clients in engine.llm know an SDK, and load it where they need it: a cold start is a feature."""
    if not any(each.touches(name) for name in SDKS):
        return False
    is_client = within(source.module, "engine.llm") and last(source.module).endswith("_client")
    return not (is_client and each.in_function)


def breach_of_headlessness(source: Source, each: Import) -> bool:
    """The engine draws nothing."""
    return within(source.module, "engine") and any(
        each.touches(name) for name in ("textual", "textual_plotext", "rich", "console", "screens")
    )


Rule = Callable[[Source, Import], bool]
RULES: list[Rule] = [
    breach_of_screens,
    breach_of_console,
    breach_of_runtime,
    breach_of_domain,
    breach_of_sqlite,
    breach_of_ccxt,
    breach_of_sdks,
    breach_of_headlessness,
]


def breaches(rule: Rule, *found: Source) -> Iterator[str]:
    for source in found:
        for each in source.imports():
            if rule(source, each):
                yield f"{source.name}:{each.line} imports {each.names[-1]}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__.removeprefix("breach_of_"))
def test_imports_keep(rule: Rule) -> None:
    assert list(breaches(rule, *sources())) == [], rule.__doc__


@pytest.mark.parametrize(
    ("path", "code", "rule"),
    [
        ("screens/orders.py", "from engine.domain import order", breach_of_screens),
        ("screens/widgets/age.py", "from engine import clock", breach_of_screens),
        ("screens/orders.py", "import console", breach_of_screens),
        ("console/cli.py", "def f():\n    from engine.domain.money import Money", breach_of_console),
        ("engine/control/bus.py", "from .. import runtime", breach_of_runtime),
        ("engine/domain/order.py", "import pydantic", breach_of_domain),
        ("engine/domain/order.py", "from engine.api import Snapshot", breach_of_domain),
        ("engine/agents/cycle.py", "import sqlite3", breach_of_sqlite),
        ("engine/execution/router.py", "from ccxt.async_support import binance", breach_of_ccxt),
        ("engine/llm/anthropic_client.py", "import anthropic", breach_of_sdks),
        ("engine/agents/cycle.py", "def f():\n    import openai", breach_of_sdks),
        ("engine/ops/reports.py", "from rich.table import Table", breach_of_headlessness),
    ],
)
def test_a_breach_is_seen(path: str, code: str, rule: Rule) -> None:
    assert list(breaches(rule, written(path, code)))


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("screens/orders.py", "from engine.api import EngineClient\nfrom screens.format import money\nimport textual"),
        ("console/cli.py", "from engine import api, runtime\nfrom screens import orders"),
        (
            "engine/domain/order.py",
            "from decimal import Decimal\nfrom engine.domain.money import Money\nfrom ..errors import X",
        ),
        ("engine/store/database.py", "import aiosqlite, sqlite3"),
        ("engine/execution/ccxt_gateway.py", "import ccxt.pro"),
        ("engine/llm/openai_client.py", "def f():\n    from openai import AsyncOpenAI"),
    ],
)
def test_what_is_allowed_passes(path: str, code: str) -> None:
    assert [found for rule in RULES for found in breaches(rule, written(path, code))] == []


def written(path: str, code: str) -> Source:
    """Return a source that stands at a path of the checkout without being written there."""
    source = Source(ROOT / path)
    source.__dict__["text"] = code
    return source
