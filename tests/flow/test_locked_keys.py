"""A locked key file: language agents wait and say so, others trade, and a passphrase typed once sets them going."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.api import UnlockKeys
from engine.control.admin import AdminSecret
from engine.control.views import snapshot
from engine.domain.decision import Outcome
from engine.domain.events import BudgetHeld, CycleDone, Incident, KeysTried, ModelAsked
from engine.errors import UsageError
from engine.keys import PASSPHRASE_FILE, Keychain, KeysLockedError
from engine.runtime.unlocking import unlock_at_start
from tests.flow.model_double import ModelDouble, Says
from tests.flow.model_kit import HOLD, Table, agent_of

PASSPHRASE = "correct horse battery"
CANARY = "sk-canary-in-a-file"
CHEAP = 10
BARS = [str(50_000 + 40 * (number % 7)) for number in range(80)]


@pytest.fixture
async def double() -> AsyncIterator[ModelDouble]:
    async with ModelDouble(Says(HOLD, usage=(900, 30, 0))) as one:
        yield one


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir(mode=0o700)
    chain = Keychain(folder, {}, log2_n=CHEAP)
    chain.key_file().begin(PASSPHRASE)
    chain.keep("here", CANARY, in_file=True)
    return folder


async def table_of(root: Path, double: ModelDouble, folder: Path) -> Table:
    """Return an engine whose one language agent needs a key of the file, and the heuristic beside it none."""
    agents = agent_of(model="here:model-1"), agent_of("counter", model="heuristic:rsi_reversion")
    table = await Table(root, double.url, *agents, composed=True, keys=Keychain(folder, {}, log2_n=CHEAP)).start()
    for price in BARS:
        await table.bar(price, warm=True)
    assert table.parts.models.prepare() == []
    return table


def ended(table: Table, agent: str) -> list[Outcome]:
    return [cycle.outcome for cycle in table.rows(CycleDone) if cycle.agent == agent]


async def test_agents_wait_for_locked_keys_as_an_outcome_of_their_own_and_go_on_once_they_are_unlocked(
    tmp_path: Path, double: ModelDouble, folder: Path
) -> None:
    table = await table_of(tmp_path / "store", double, folder)
    for _ in range(6):  # more than an agent may fail in a row
        await table.bar("50000")
        await table.settle()
    assert set(ended(table, "thinker")) == {Outcome.KEYS_LOCKED}
    assert (double.asked, table.rows(BudgetHeld), table.rows(ModelAsked)) == ([], [], [])
    assert (table.books.standing.failing.in_a_row, table.core.agents["counter"].cycles) == (0, 6)
    shown = snapshot(table.core, mono_ms=0, progress=None, finished=False)
    assert shown.keys is not None
    assert (shown.keys.names, shown.keys.wait_ms) == (("here",), 0)
    reply = await table.handlers.handle(UnlockKeys(passphrase=PASSPHRASE))
    assert (reply.ok, reply.text) == (True, "The keys are unlocked until this engine ends.")
    assert snapshot(table.core, mono_ms=0, progress=None, finished=False).keys is None
    await table.bar("50000")
    await table.settle()
    assert ended(table, "thinker")[-1] is Outcome.DECIDED
    assert len(double.asked) == 1
    assert table.rows(KeysTried) == [KeysTried(right=True, actor="trader", wrong_tries=0, locked_until_ms=0)]
    assert any("KEYS UNLOCKED" in line for line in table.lines())
    await table.close()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert CANARY.encode() not in kept
    assert PASSPHRASE.encode() not in kept


async def test_wrong_passphrases_make_the_next_one_wait_and_the_journal_remembers(
    tmp_path: Path, double: ModelDouble, folder: Path
) -> None:
    table = await table_of(tmp_path / "store", double, folder)
    said = [await table.handlers.handle(UnlockKeys(passphrase=f"a wrong one {n}")) for n in range(3)]
    assert not any(reply.ok for reply in said)
    assert said[0].text == "That passphrase does not open the key file; nothing was changed."
    assert said[2].text.endswith("The next is looked at in 30 s.")
    soon = await table.handlers.handle(UnlockKeys(passphrase=PASSPHRASE))
    assert (soon.ok, soon.text) == (False, "Too many wrong passphrases: the next is looked at in 30 s.")
    assert [row.wrong_tries for row in table.rows(KeysTried)] == [1, 2, 3]
    assert table.books.key_tries.until_ms == table.clock.now_ms() + 30_000
    table.clock.advance_ms(30_000)
    assert (await table.handlers.handle(UnlockKeys(passphrase=PASSPHRASE))).ok
    assert table.books.key_tries.wrong == 0
    assert "a wrong one" not in "".join(table.lines())
    await table.close()


@pytest.mark.parametrize(
    ("text", "mode", "opens"),
    [(PASSPHRASE + "\n", 0o600, True), ("another one\n", 0o600, False), (PASSPHRASE, 0o644, False), ("", 0o600, False)],
)
@pytest.mark.fault("W09")
async def test_a_passphrase_file_opens_the_keys_at_the_start_where_nobody_else_can_read_it(
    tmp_path: Path, double: ModelDouble, folder: Path, text: str, mode: int, opens: bool
) -> None:
    table = await table_of(tmp_path / "store", double, folder)
    path = tmp_path / "passphrase"
    path.write_text(text)
    path.chmod(mode)
    keychain = table.plan.keys
    assert keychain is not None
    await unlock_at_start(table.core, keychain, {PASSPHRASE_FILE: str(path)})
    assert keychain.key_file().is_open is opens
    assert [row.code for row in table.rows(Incident)] == ([] if opens else ["KEYS_LOCKED"])
    assert table.books.key_tries.wrong == 0
    await table.close()


def test_the_admins_hash_is_in_the_key_file_where_no_keyring_encrypts(folder: Path) -> None:
    chain = Keychain(folder, {}, log2_n=CHEAP)
    beside = AdminSecret(folder, work=2**CHEAP)
    beside.keep("an admin's words")  # from before there was a key file
    admin = AdminSecret(folder, work=2**CHEAP, key_file=chain.file)
    assert admin.is_right("an admin's words")
    with pytest.raises(KeysLockedError):
        admin.keep("other admin's words")
    chain.unlock(PASSPHRASE)
    admin.keep("other admin's words")
    assert admin.is_right("other admin's words")
    assert not admin.is_right("an admin's words")
    assert [path.name for path in folder.iterdir()] == ["keys.sealed"]
    assert chain.rows() == [{"name": "here", "origin": "key file"}]
    locked = AdminSecret(folder, work=2**CHEAP, key_file=Keychain(folder, {}).file)
    with pytest.raises(UsageError, match="keys are locked"):
        _ = locked.is_set
