"""A schedule: acts in their order, and faults at numbered places; drawn whole from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random

HORIZON_MS = 10_000
TURN_MS_MAX = 2_500
AGENTS = ("alfa", "bravo")
BTC, ETH = "sim:BTC/USDT", "sim:ETH/USDT"
INSTRUMENTS = (BTC, ETH)


class Do(StrEnum):
    """What can happen by itself. The first ones are the engine's side, the others the venue's."""

    BUY = "buys"
    SELL = "sells"
    CANCEL = "cancels its orders"
    CANCEL_ALL = "all orders are cancelled"
    BEAT = "time passes"
    RECONNECT = "reconnects"
    HALT = "the trader halts"
    HALT_FILE = "a HALT file appears"
    RESUME = "the trader resumes"
    FLATTEN = "the trader flattens"
    RESTART = "clean restart"
    USURP = "a second engine takes the store"
    MATCH = "the venue fills"
    STOP_HIT = "the price falls through the stops"
    VENUE_CANCEL = "the venue cancels"
    VENUE_EXPIRE = "the venue expires"
    OVERFILL = "the venue overfills"
    MANUAL = "a manual trade at the venue"
    TRANSFER = "money moves at the venue"
    PRICE = "the price moves"


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that happens, after ms of waiting. amount: whatever its kind needs, 0 to 99."""

    do: Do
    agent: str = ""
    instrument: str = ""
    amount: int = 0
    ms: int = 0

    def __str__(self) -> str:
        return " ".join(filter(None, [self.agent, self.do.value, self.instrument, f"({self.amount})"]))


class Site(StrEnum):
    """Where a fault strikes; each site counts its own visits from 1."""

    CREATE = "create"
    CANCEL = "cancel"
    FIND = "find"
    FILLS = "fills_since"
    BALANCES = "balances"
    OPEN_ORDERS = "open_orders"
    STREAM = "stream message"
    AWAIT = "await"
    SQL = "SQL statement"
    TRADE = "trade"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault at one visit of a site. amount: ms or turns, as its kind needs."""

    site: Site
    number: int
    kind: str
    amount: int = 0

    def __str__(self) -> str:
        return f"{self.site.value} {self.number}: {self.kind}" + (f" {self.amount}" if self.amount else "")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything a run depends on."""

    seed: int
    acts: tuple[Act, ...]
    faults: tuple[Fault, ...]


# site -> (kind, weight, least amount, largest amount). A timeout's amount is when its request reaches the venue.
KINDS: dict[Site, tuple[tuple[str, int, int, int], ...]] = {
    Site.CREATE: (
        ("accepted, answer lost", 5, 0, 0),
        ("accepted, invisible for ms", 4, 500, HORIZON_MS - 1),
        ("lost before the venue", 4, 0, 0),
        ("timed out, reaches the venue after ms", 3, 200, HORIZON_MS - 1),
        ("reaches the venue beyond its horizon, after ms", 1, HORIZON_MS + 1, 3 * HORIZON_MS),
        ("accepted, invisible beyond the horizon, for ms", 1, HORIZON_MS + 1, 3 * HORIZON_MS),
        ("rejected", 3, 0, 0),
        ("accepted, garbled answer", 2, 0, 0),
        ("5xx, accepted", 2, 0, 0),
        ("5xx, not accepted", 2, 0, 0),
        ("429", 1, 0, 0),
        ("418", 1, 0, 0),
        ("slow", 5, 1, 4),
    ),
    Site.CANCEL: (
        ("timed out, done", 3, 0, 0),
        ("timed out, not done", 3, 0, 0),
        ("5xx", 1, 0, 0),
        ("garbled answer", 1, 0, 0),
        ("filled first", 3, 0, 0),
        ("slow", 3, 1, 4),
    ),
    Site.FIND: (("timed out", 2, 0, 0), ("5xx", 2, 0, 0), ("429", 1, 0, 0), ("garbled answer", 2, 0, 0),
                ("stale answer", 2, 0, 0), ("slow", 1, 1, 3)),
    Site.FILLS: (("timed out", 2, 0, 0), ("5xx", 1, 0, 0), ("garbled answer", 1, 0, 0), ("shuffled", 3, 0, 0),
                 ("doubled", 3, 0, 0)),
    Site.BALANCES: (("timed out", 2, 0, 0), ("5xx", 1, 0, 0), ("garbled answer", 1, 0, 0)),
    Site.OPEN_ORDERS: (("timed out", 2, 0, 0), ("5xx", 1, 0, 0), ("garbled answer", 1, 0, 0)),
    Site.STREAM: (("lost", 3, 0, 0), ("late by turns", 5, 1, 6), ("doubled", 4, 0, 0)),
    Site.TRADE: (("visible only after ms", 1, 200, 4_000),),
    Site.AWAIT: (("crash", 1, 0, 0),),
    Site.SQL: (("crash", 8, 0, 0), ("crash after it", 4, 0, 0), ("disk full for statements", 1, 1, 40)),
}  # fmt: skip

# (site, most faults of it in one schedule, visits among which they fall)
DENSITY = (
    (Site.CREATE, 3, 4), (Site.CANCEL, 2, 4), (Site.FIND, 2, 12), (Site.FILLS, 1, 4), (Site.BALANCES, 1, 4),
    (Site.OPEN_ORDERS, 1, 4), (Site.STREAM, 5, 16), (Site.TRADE, 2, 5), (Site.AWAIT, 2, 40), (Site.SQL, 3, 170),
)  # fmt: skip

_WEIGHTS: tuple[tuple[Do, int], ...] = (
    (Do.BUY, 32), (Do.SELL, 11), (Do.CANCEL, 7), (Do.CANCEL_ALL, 2), (Do.BEAT, 4), (Do.RECONNECT, 2), (Do.HALT, 2),
    (Do.HALT_FILE, 1), (Do.RESUME, 7), (Do.FLATTEN, 3), (Do.RESTART, 2), (Do.USURP, 1), (Do.MATCH, 26),
    (Do.STOP_HIT, 3), (Do.VENUE_CANCEL, 4), (Do.VENUE_EXPIRE, 1), (Do.MANUAL, 2), (Do.TRANSFER, 1), (Do.PRICE, 6),
    (Do.OVERFILL, 3),
)  # fmt: skip
_DOS = tuple(do for do, _weight in _WEIGHTS)
_DO_WEIGHTS = tuple(weight for _do, weight in _WEIGHTS)


def draw(seed: int) -> Schedule:
    """Return the schedule of a seed."""
    rng = Random(seed)
    acts = tuple(_act(rng) for _ in range(rng.randint(8, 26)))
    faults: dict[tuple[Site, int], Fault] = {}
    for site, most, visits in DENSITY:
        for _ in range(rng.randint(0, most)):
            fault = _fault(rng, site, rng.randint(1, visits))
            faults[fault.site, fault.number] = fault
    return Schedule(seed, acts, tuple(faults.values()))


def _act(rng: Random) -> Act:
    do = rng.choices(_DOS, _DO_WEIGHTS)[0]
    ms = rng.choice((0, 1, 100, 700, TURN_MS_MAX, HORIZON_MS)) if rng.random() < 0.7 else rng.randint(1, TURN_MS_MAX)
    return Act(do, rng.choice(AGENTS), rng.choice(INSTRUMENTS), rng.randint(0, 99), ms)


def _fault(rng: Random, site: Site, number: int) -> Fault:
    kinds = KINDS[site]
    kind, _weight, least, largest = rng.choices(kinds, [weight for _kind, weight, _least, _largest in kinds])[0]
    return Fault(site, number, kind, rng.randint(least, largest) if largest else 0)
