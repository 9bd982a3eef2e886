"""The trader's word on the protection of a position that no agent looks after: what he traded himself, or found there.

It is remembered with the position, so that the monitor keeps it as it keeps an agent's own: put back where it is
missing, sized to what is held, gone with the position (R16).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from engine.api import Protect
from engine.control.core import Core
from engine.domain.agent import EXTERNAL, TRADER
from engine.domain.events import ProtectionAsked
from engine.domain.money import ONE, nearest_price, plain, round_price
from engine.domain.order import OrderRole
from engine.domain.portfolio import Position
from engine.domain.wishes import Wish
from engine.errors import RefusedError
from engine.execution.protection import in_doubt, is_covered, stops_of, uncovered, whole_qty
from engine.execution.stops import rest_stop, rest_target
from engine.ids import base36

OWNERS = (EXTERNAL, TRADER)


async def protect(core: Core, command: Protect) -> tuple[bool, str]:
    """Let a stop, a target, or neither rest for a position; tell whether they do, and say so in a sentence."""
    position = _position(core, command)
    command = _priced(core, command, position)
    wish = _wish(core, command, position)
    asked = ProtectionAsked(
        agent=position.agent, instrument=position.instrument, stop=wish.stop, target=wish.target, actor=command.actor
    )
    core.journal.record(core.desk.clock.now_ms(), asked)
    if wish.bare:
        await _take_back(core, position, OrderRole.STOP, OrderRole.TARGET)
    else:
        await _rest(core, command, position, wish)
    core.guard.look_again()
    return _told(core, position, wish)


def _position(core: Core, command: Protect) -> Position:
    if command.agent and command.agent not in OWNERS:
        raise RefusedError(f"Its file says how {command.agent[:40]!r} is protected; this is for external and trader.")
    listed, name = core.books.instruments.items(), command.instrument
    meant = [key for key, one in listed if name in (key, one.symbol, *one.aliases)]
    there = [p for p in core.books.open_positions() if len(meant) == 1 and p.instrument == meant[0]]
    held = [p for p in there if p.qty > 0 and whole_qty(core.books, p)]
    mine = [p for p in held if p.agent in OWNERS and command.agent in ("", p.agent)]
    if len(mine) > 1:
        named = " and ".join(p.agent for p in mine)
        raise RefusedError(f"Nothing done: {named} hold {command.instrument[:40]}; say which with --agent.")
    if not mine:
        raise RefusedError(_none(core, command, [p.agent for p in held if not command.agent]))
    (position,) = mine
    if core.books.flatten_id:
        raise RefusedError("Nothing done: a flatten is under way, it closes this position.")
    for role in (OrderRole.STOP, OrderRole.TARGET):
        if in_doubt(core.books, position, role):
            raise RefusedError("Nothing done: an order of this position is in doubt; resolve it first.")
    return position


def _none(core: Core, command: Protect, agents: list[str]) -> str:
    """Say that there is no such position, and which there are."""
    name = command.instrument[:40]
    if agents:
        return f"{' and '.join(agents)} alone hold {name}, by their files' protection; this is for external and trader."
    mine = [p for p in core.books.open_positions() if p.agent in OWNERS and command.agent in ("", p.agent)]
    if command.agent:
        return (
            f"{command.agent} holds no {name}; it holds {', '.join(sorted(p.instrument for p in mine)) or 'nothing'}."
        )
    held = ", ".join(sorted(f"{p.instrument} ({p.agent})" for p in mine)) or "nothing"
    return f"Neither external nor trader holds {name}; they hold {held}."


def _priced(core: Core, command: Protect, position: Position) -> Protect:
    """Turn distances from the average entry into prices on the tick, as a ticket's."""
    average, tick = position.average_price, core.books.instruments[position.instrument].price_tick
    for name, away, price in (
        ("stop", command.stop_frac, command.stop), ("target", command.target_frac, command.target),
    ):  # fmt: skip
        if away is not None and (price is not None or command.bare):
            raise RefusedError(f"Nothing done: the {name} is given twice, or none is wanted; write one.")
        if away is not None and not (away.is_finite() and away > 0 and (name == "target" or away < 1)):
            raise RefusedError(f"Nothing done: {name} {away} is no distance from the entry.")
    if command.stop_frac is not None and average is not None:
        command = replace(command, stop=round_price(average * (ONE - command.stop_frac), tick, up=True))
    if command.target_frac is not None and average is not None:
        command = replace(command, target=nearest_price(average * (ONE + command.target_frac), tick))
    return command


def _wish(core: Core, command: Protect, position: Position) -> Wish:
    """Return what is to be from now on, checked against the price of now."""
    if command.bare and (command.stop is not None or command.target is not None):
        raise RefusedError("Nothing done: it cannot both be left bare and have a stop or a target.")
    if command.bare:
        return Wish(bare=True)
    was = core.books.wishes.of(position.agent, position.instrument)
    wish = Wish(stop=command.stop or was.stop, target=command.target or was.target)
    if command.stop is None and command.target is None:
        raise RefusedError("Nothing done: say where the stop or the target belongs, or that none is wanted.")
    price = core.desk.surroundings.valuation.price(position.instrument)
    if price is None:
        raise RefusedError(f"Nothing done: no price of {position.instrument} is known here; ask while the engine runs.")
    tick = core.books.instruments[position.instrument].price_tick
    for name, value in (("stop", command.stop), ("target", command.target)):
        if value is not None and not (value.is_finite() and value > 0 and value % tick == 0):
            raise RefusedError(f"Nothing done: {name} {value} is no price on a tick of {plain(tick)}.")
    if wish.stop is None:
        raise RefusedError("Nothing done: a target alone protects nothing; give a stop with it.")
    if not wish.stop < price or not (wish.target is None or price < wish.target):
        at = f"its stop would rest at {plain(wish.stop)}" + (
            f", its target at {plain(wish.target)}" if wish.target else ""
        )
        raise RefusedError(
            f"Nothing done: the price is {plain(price)}; a stop is below it and a target above it, and {at}."
        )
    return wish


async def _rest(core: Core, command: Protect, position: Position, wish: Wish) -> None:
    desk, price = core.desk, core.desk.surroundings.valuation.price(position.instrument)
    assert wish.stop is not None
    assert price is not None
    if not is_covered(core.books, position) or wish.stop not in _prices(core, position):
        name = f"ask.{base36(core.journal.seq)}"
        await rest_stop(core.journal, desk.router, desk.clock, position, wish.stop, price, name)
    if command.target is not None:
        await _take_back(core, position, OrderRole.TARGET)
    if wish.target is not None and uncovered(core.books, position, OrderRole.TARGET):
        name = f"ask.{base36(core.journal.seq)}"
        await rest_target(core.journal, desk.router, desk.clock, position, wish.target, price, name)


def _prices(core: Core, position: Position) -> set[Decimal | None]:
    return {order.stop_price for order in stops_of(core.books, position)}


async def _take_back(core: Core, position: Position, *roles: OrderRole) -> None:
    """Cancel what rests of those roles."""
    ids = [order.client_order_id for role in roles for order in stops_of(core.books, position, role)]
    if ids:
        await core.desk.router.cancel(ids)


def _told(core: Core, position: Position, wish: Wish) -> tuple[bool, str]:
    held = f"{position.agent}'s {plain(position.qty)} {position.instrument}"
    if wish.bare:
        return True, f"{held} stand without a stop, as you say; nothing rests for them."
    target = f" and its target at {plain(wish.target)}" if wish.target is not None else ""
    rests = is_covered(core.books, position)
    rests = rests and not (wish.target is not None and uncovered(core.books, position, OrderRole.TARGET))
    what = f"{held}: its stop at {plain(wish.stop or Decimal(0))}{target}"
    return rests, f"{what} {'rest' if target else 'rests'} at the venue." if rests else (
        f"{what} did not all come to rest; the monitor goes on asking for what is missing."
    )
