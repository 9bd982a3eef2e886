"""Real processes on a real store: killed where it hurts and at random, stopped, filled up, made read-only, doubled."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine import runtime
from engine.api import CancelAll, Flatten, Halt
from engine.errors import QuarterdeckError, StoreLockedError
from engine.paths import StorePaths
from engine.runtime import verify
from tests.flow.kill_kit import KILLED, Nursery, Rig
from tests.flow.pty_kit import eventually, is_free, shell, waves
from tests.memory import MEMORY

SEED = 20_261_120
KILLS = 20
RECOVERY = ("lock after", "start commit", "sizes after", "late fill commit", "late fill after", "settle before",
            "compare before", "reconcile after", "take up after")  # fmt: skip

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    """Start the process that lives are forked from."""
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def rig(nursery: Nursery) -> Iterator[Rig]:
    """Make a store in memory, where there is a file system for that; the random kills use the disk."""
    with tempfile.TemporaryDirectory(prefix="qd-", dir=MEMORY) as folder:
        yield Rig(nursery, Path(folder) / "a")


def goes_on(rig: Rig) -> None:
    """Recover, and trade on; what journal and venue say agrees after both."""
    rig.live(bars=0)
    rig.check_settled()
    fills = len(rig.desk.ask("fills"))
    rig.live(bars=36)
    rig.check_settled()
    assert len(rig.desk.ask("fills")) > fills


def unsent(rig: Rig) -> list[str]:
    """Return the entries and exits that are written down and never left."""
    left = set(rig.created())
    mine = [order for order in rig.desk.ask("orders") if order["role"] in ("ENTRY", "EXIT", "FLATTEN")]
    return [order["client_order_id"] for order in mine if order["client_order_id"] not in left]


def status_of(rig: Rig, order_id: str) -> str:
    """Return an order's state in the journal."""
    return next(order["status"] for order in rig.desk.ask("orders") if order["client_order_id"] == order_id)


# -- one kill at a chosen point --------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["lock before", "lock after", "tables before", "file after", "tables after",
    "genesis before", "genesis commit", "genesis anchor before", "genesis after",
    "paper before", "paper after", "start before", "deposit before",
    "deposit venue commit", "deposit after", "start commit", "start after", "reconcile after",
    "take up after"])  # fmt: skip
def test_a_store_whose_making_was_cut_off_is_made_by_the_next_start(rig: Rig, at: str) -> None:
    rig.die(f"{at}@1")
    goes_on(rig)


@pytest.mark.fault("P01", "P02")
@pytest.mark.parametrize("at", ["intent before@3", "intent begin@3", "intent journal@11", "intent orders@7",
                                "intent commit@3"])  # fmt: skip
def test_killed_before_an_intent_is_on_disk_nothing_was_sent_and_nothing_is_left(rig: Rig, at: str) -> None:
    rig.die(at)
    assert len(rig.created()) == 2
    assert unsent(rig) == []
    goes_on(rig)


@pytest.mark.fault("P03")
@pytest.mark.parametrize(
    "at", ["intent anchor before@3", "intent after@3", "intent publish before@3", "create before@3"]
)
def test_killed_between_intent_and_send_the_intent_is_never_sent(rig: Rig, at: str) -> None:
    rig.die(at)
    (order_id,) = unsent(rig)
    assert order_id not in rig.at_venue()
    goes_on(rig)
    assert status_of(rig, order_id) == "NOT_SENT"
    assert unsent(rig) == [order_id]


@pytest.mark.fault("P04")
@pytest.mark.parametrize("at", ["create venue before@3", "create venue orders@5", "create venue commit@3"])
def test_killed_in_the_send_before_the_venue_took_it_the_order_is_not_sent_again(rig: Rig, at: str) -> None:
    rig.die(at)
    order_id = rig.created()[-1]
    assert order_id not in rig.at_venue()
    goes_on(rig)
    assert status_of(rig, order_id) == "NOT_SENT"
    assert rig.created().count(order_id) == 1


@pytest.mark.fault("P04")
@pytest.mark.parametrize(
    "at", ["create venue after@3", "create after@3", "ack before@3", "ack commit@3", "ack after@3"]
)
def test_killed_after_the_venue_took_an_order_it_is_found_there_and_fills(rig: Rig, at: str) -> None:
    rig.die(at)
    order_id = rig.created()[-1]
    assert rig.at_venue()[order_id] == "OPEN"
    rig.live(bars=0)
    assert status_of(rig, order_id) == "OPEN"
    goes_on(rig)
    assert status_of(rig, order_id) == "FILLED"


@pytest.mark.fault("P05", "P06")
@pytest.mark.parametrize("at", ["market venue fill after@2", "fill before@2", "fill fills@3", "fill ledger@7",
                                "fill positions@3", "fill commit@2"])  # fmt: skip
def test_killed_between_a_fill_and_its_booking_it_is_fetched_whole(rig: Rig, at: str) -> None:
    rig.die(at)
    order_id = rig.created()[-1]
    assert rig.at_venue()[order_id] == "FILLED"
    assert status_of(rig, order_id) == "OPEN"
    goes_on(rig)
    assert status_of(rig, order_id) == "FILLED"


@pytest.mark.fault("P07")
@pytest.mark.parametrize("at", ["fill anchor before@2", "fill after@2", "fill publish before@2"])
def test_killed_after_a_booking_a_screen_opened_later_shows_it(rig: Rig, at: str) -> None:
    rig.die(at)
    before = rig.summary()
    order_id = rig.created()[-1]
    assert status_of(rig, order_id) == "FILLED"
    rig.live(bars=0)
    assert rig.summary() == before
    goes_on(rig)


@pytest.mark.fault("P10")
@pytest.mark.parametrize("at", ["halt anchor before", "halt after", "halt publish before"])
def test_killed_after_a_halt_is_on_disk_nothing_trades_until_a_person_resumes(rig: Rig, at: str) -> None:
    rig.die(f"{at}@1", do="halt@40")
    creates = rig.created()
    for _start in range(2):
        rig.live(bars=60)
        rig.check_settled()
        assert (rig.state(), rig.created()) == ("HALTED", creates)


@pytest.mark.fault("P10")
@pytest.mark.parametrize("at", ["halt before", "halt begin", "halt journal", "halt commit"])
def test_killed_in_a_halt_nobody_was_told_of_the_file_still_halts(rig: Rig, at: str) -> None:
    rig.die(f"{at}@1", do="halt@40")
    creates = rig.created()
    (rig.store / "HALT").touch()
    for _start in range(2):
        rig.live(bars=60)
        rig.check_settled()
        assert rig.created() == creates
    (rig.store / "HALT").unlink()
    goes_on(rig) if rig.state() == "ACTIVE" else rig.live(bars=0)


@pytest.mark.fault("P12")
@pytest.mark.parametrize("at", ["asking before@1", "asking commit@1", "asking after@1", "cancel before@2",
                                "cancel venue commit@1", "cancel venue after@2", "cancel after@4", "canceled before@1",
                                "canceled commit@1", "canceled after@1"])  # fmt: skip
def test_killed_in_a_cancel_the_venue_says_what_became_of_it(rig: Rig, at: str) -> None:
    rig.die(at, do="cancel-all@30")
    rig.live(bars=3)  # recovered, and the resolver has asked
    rig.check_settled()
    goes_on(rig)


# -- killed again during the recovery --------------------------------------------------------------------------------


@pytest.mark.fault("P08", "P09")
@pytest.mark.parametrize("at", ["intent after@3", "create venue after@3", "market venue fill after@2"])
def test_killed_again_anywhere_in_the_recovery_the_end_is_the_same(rig: Rig, at: str) -> None:
    rig.die(at)
    once = rig.copy("once")
    reached = once.live(bars=0)
    wanted = once.summary()
    struck = [point for point in RECOVERY if point in reached]
    for place, point in enumerate(struck):
        twice = rig.copy(f"twice{place}")
        twice.die(f"{point}@1", bars=0)
        twice.live(bars=0)
        twice.check_settled()
        assert twice.summary() == wanted, point
    assert len(struck) >= 6
    goes_on(once)


# -- killed at random ------------------------------------------------------------------------------------------------


def test_after_twenty_kills_at_random_every_invariant_holds(
    nursery: Nursery, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, struck, began = random.Random(SEED), [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        rig = Rig(nursery, Path(folder) / "a", waves(20_000))
        for kill in range(1, KILLS + 1):
            struck.append(rig.die_at_random(rng))
            if kill % 5 == 0:
                rig.live(bars=20)
                rig.check_settled()
        goes_on(rig)
        said = shell(rig.desk.home, "verify", "--store", rig.store)
        assert "Proven" in said.stdout
    with capsys.disabled():
        print(f"\n{KILLS} kills, seed {SEED}, {time.monotonic() - began:.1f} s: {', '.join(struck)}")  # noqa: T201


# -- other signals ---------------------------------------------------------------------------------------------------


@pytest.mark.fault("P14")
def test_told_to_terminate_in_the_middle_of_its_work_it_leaves_a_settled_store(rig: Rig) -> None:
    rng = random.Random(SEED)
    for _life in range(5):
        life = rig.start()
        time.sleep(rng.uniform(0, 0.4))
        life.signal(signal.SIGTERM)
        assert life.ended() == 0, life.said
        assert is_free(rig.store)
        if rig.store.joinpath("store.db").exists():
            rig.check_settled()
    goes_on(rig)


@pytest.mark.fault("P16")
def test_stopped_and_continued_it_goes_on_where_it_stood(rig: Rig) -> None:
    life = rig.start(speed=6000)
    answers(rig, lambda status: status["seq"] > 300)
    for _stop in range(3):
        life.signal(signal.SIGSTOP)
        stands = rows(rig)
        time.sleep(0.3)
        assert rows(rig) == stands
        life.signal(signal.SIGCONT)
        answers(rig, lambda status, stands=stands: status["seq"] > stands)
    life.signal(signal.SIGTERM)
    assert life.ended() == 0
    rig.check_settled()
    goes_on(rig)


@pytest.mark.fault("U10", "P16")
@pytest.mark.parametrize("order", [Halt(reason="from a second shell"), CancelAll(), Flatten()])
def test_an_engine_that_gives_no_answer_is_halted_by_a_file_and_sends_nothing_once_it_moves(
    rig: Rig, order: Halt | CancelAll | Flatten
) -> None:
    life = rig.start(speed=6000)
    answers(rig, lambda status: len(rig.created()) > 2)
    life.signal(signal.SIGSTOP)
    time.sleep(0.05)
    if isinstance(order, Halt):
        assert runtime.halt(rig.store, order, within_s=0.2).ok
    else:
        with pytest.raises(StoreLockedError, match="Nothing was canceled or closed"):
            runtime.carry_out(rig.store, order, within_s=0.2)
    assert StorePaths(rig.store).halt_latch.exists()
    left = rig.created()
    life.signal(signal.SIGCONT)
    answers(rig, lambda status: status["state"] == "HALTED")
    time.sleep(0.3)
    closing = {o["client_order_id"] for o in rig.desk.ask("orders") if o["role"] == "FLATTEN"}
    assert set(rig.created()) - set(left) <= closing, "what it had heard it may carry out, and nothing else leaves"
    life.signal(signal.SIGTERM)
    assert life.ended() == 0


def rows(rig: Rig) -> int:
    """Return how many rows the journal has, whoever is writing to it."""
    return rig._journal("SELECT max(seq) FROM journal")[0][0]


def answers(rig: Rig, wanted: Callable[[dict], object]) -> dict:
    """Ask a running engine for its status until it is as wanted."""

    def look() -> dict:
        with contextlib.suppress(QuarterdeckError, OSError):
            status = rig.desk.ask("status")
            return status if wanted(status) else {}
        return {}

    return eventually(look, "the status that is wanted", 60)


@pytest.mark.fault("P38")
def test_with_no_file_descriptor_left_a_halt_still_holds_and_is_found_by_the_next_start(rig: Rig) -> None:
    life = rig.start(bars=120, do="starve@40,halt@60")
    assert life.ended() in (0, 1), life.said
    creates = rig.created()
    assert creates
    halted = rig.desk.ask("status")
    assert (halted["state"], halted["state_reason"]) == ("HALTED", "the test said so")
    rig.live(bars=60)
    rig.check_settled()
    assert (rig.state(), rig.created()) == ("HALTED", creates)


@pytest.mark.fault("P18")
def test_of_two_engines_the_second_ends_with_exit_code_3_and_takes_over_when_the_first_is_killed(rig: Rig) -> None:
    first = rig.start(speed=6000)
    answers(rig, lambda status: status["seq"] > 100)
    second = rig.start()
    assert second.ended() == 3
    assert f"pid {first.pid} " in second.said
    first.signal(signal.SIGKILL)
    assert first.ended() == KILLED
    rig.check_corpse()
    goes_on(rig)


# -- disks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(nursery: Nursery) -> Iterator[Rig]:
    """Make a store on a file system of its own, 16 MiB."""
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        rig = Rig(nursery, Path(folder) / "a")
        rig.store.mkdir(mode=0o700)
        if mount("-t", "tmpfs", "-o", "size=16m,mode=700", "none", rig.store):
            pytest.skip("no file system can be mounted here, which takes root")
        try:
            yield rig
        finally:
            subprocess.run(["umount", "-l", rig.store], check=True)


def mount(*words: object) -> int:
    """Mount something; return 0 when that worked."""
    try:
        return subprocess.run(["mount", *map(str, words)], capture_output=True, check=False).returncode
    except FileNotFoundError:
        return 127


@pytest.mark.fault("P23", "P24")
def test_on_a_full_disk_it_halts_sends_nothing_and_writes_the_halt_once_there_is_room(small: Rig) -> None:
    life = small.start(speed=6000)
    answers(small, lambda status: status["seq"] > 300)
    ballast, changes = small.store / "ballast", halts_on_disk(small)
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"0" * 4096):
            pass
    answers(small, lambda status: status["state"] == "HALTED")
    creates = small.created()
    ballast.unlink()
    eventually(lambda: halts_on_disk(small) > changes, "the halt is written")
    life.signal(signal.SIGTERM)
    assert life.ended() == 0, life.said
    small.check_corpse()
    small.live(bars=60)
    small.check_settled()
    assert (small.state(), small.created()) == ("HALTED", creates)


def halts_on_disk(rig: Rig) -> int:
    """Return how many changes of the trading state are in the journal, whoever is writing to it."""
    return rig._journal("SELECT count(*) FROM journal WHERE kind = 40")[0][0]


def test_on_a_read_only_disk_it_does_not_start_and_the_store_can_be_proven(small: Rig) -> None:
    small.live(bars=60)
    assert mount("-o", "remount,ro", small.store) == 0
    creates = small.created()
    life = small.start()
    assert life.ended() == 1
    assert str(small.store) in life.said
    assert "Traceback" not in life.said
    assert verify(small.store).first_breach is None
    assert small.created() == creates
    assert mount("-o", "remount,rw", small.store) == 0
    goes_on(small)


def test_when_writing_fails_for_another_reason_it_halts_and_the_next_start_finds_a_sound_store(rig: Rig) -> None:
    life = rig.start(speed=6000, fsize=600_000)
    answers(rig, lambda status: status["state"] == "HALTED")
    creates = rig.created()
    life.signal(signal.SIGTERM)
    assert life.ended() in (0, 1), life.said
    assert rig.created() == creates
    rig.check_corpse()
    rig.live(bars=0)
    rig.check_settled()
