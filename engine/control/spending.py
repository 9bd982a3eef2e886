"""AI spend for a person: models on or off, and the budget at a glance."""

from __future__ import annotations

from decimal import Decimal

from engine.api import BudgetView, SwitchAi
from engine.control.core import Core
from engine.domain.books import Books
from engine.domain.budget import AGENT, IN_ALL, PURPOSE, Purpose, SpendBook, Window, cap_of
from engine.domain.burning import burn, runs_out_ms
from engine.domain.caps import caps_of
from engine.domain.money import ZERO
from engine.errors import RefusedError

_PLACES = Decimal("1e-9")


def switch_ai(core: Core, command: SwitchAi) -> str:
    """Let models be asked, or not, and return the sentence that says so. Raises RefusedError without a reason."""
    reason, meter = command.reason.strip(), core.desk.meter
    word = "on" if command.on else "off"
    if not reason:
        raise RefusedError(f"Models were not switched {word}: write a reason, it goes into the journal.")
    if meter is None:
        raise RefusedError("This engine asks no models.")
    off = core.books.spend.off
    if command.on and not off:
        return "Models are on already."
    if command.on and command.provider and command.provider not in off:
        raise RefusedError(f"{command.provider} is not off; off are: {', '.join(each or 'all' for each in off)}.")
    meter.switch(command.on, reason[:300], command.actor, provider=command.provider)
    whose = command.provider or "all"
    return f"Models are {word}: {whose}." + ("" if command.on else " Deterministic ones answer in their place.")


def budget_view(core: Core, now_ms: int) -> BudgetView:
    """Return what models cost today and may cost, and what that is for a decision, a trade and the day's profit."""
    caps = caps_of(core.policy.ai_budget)
    spend = core.books.spend.rolled(now_ms)
    day, month = spend.spent(Window.DAY), spend.spent(Window.MONTH)
    held, held_tokens = spend.reserved(Window.DAY)
    held_month, _tokens = spend.reserved(Window.MONTH)
    cap, month_cap = cap_of(caps, IN_ALL, Window.DAY), cap_of(caps, IN_ALL, Window.MONTH)
    assert cap is not None  # all calls together always have one
    assert month_cap is not None
    beside_usd = _beside(spend)
    decided_usd = day.usd - beside_usd
    pace = burn(day.usd, spend.first_ms or now_ms, now_ms)
    trades = sum(core.books.trades_on(agent, now_ms) for agent in _asking(core.books))
    off = [f"{name or 'all'}: {each.reason}" for name, each in spend.off.items() if spend.why_off(name, now_ms)]
    meter = core.desk.meter
    return BudgetView(
        usd_spent=day.usd,
        usd_reserved=held,
        usd_cap=cap.usd,
        tokens_spent=day.tokens,
        tokens_cap=cap.tokens,
        calls=day.calls,
        tokens_reserved=held_tokens,
        usd_month_spent=month.usd,
        usd_month_reserved=held_month,
        usd_month_cap=month_cap.usd,
        tokens_month_spent=month.tokens,
        tokens_month_cap=month_cap.tokens,
        usd_per_hour=pace,
        runs_out_ms=runs_out_ms(cap.usd - day.usd - held, pace, Window.DAY, now_ms) if day.calls else None,
        decisions=day.cycles,
        trades=trades,
        usd_per_decision=_share(decided_usd, day.cycles),
        usd_per_trade=_share(decided_usd, trades),
        usd_beside=beside_usd,
        day_pnl_after=_after(core, day.usd),
        share_of_pnl=_share_of_pnl(core, day.usd),
        off_reason="; ".join(off),
        notice=meter.prices.warning(now_ms) if meter is not None else "",
    )


def _beside(spend: SpendBook) -> Decimal:
    """Return what was asked today without deciding anything: reruns, and shadows."""
    return sum((spend.spent(Window.DAY, f"{PURPOSE}:{each.value}").usd for each in Purpose), ZERO)


def _asking(books: Books) -> tuple[str, ...]:
    """Return the agents whose decisions were asked for today; shadows and reruns decide nothing."""
    daily = books.spend.daily
    return tuple(
        name.partition(":")[2] for name, spent in daily.items() if name.startswith(f"{AGENT}:") and spent.cycles
    )


def _share(usd: Decimal, whole: int) -> Decimal | None:
    return (usd / whole).quantize(_PLACES) if whole else None


def _day_pnl(core: Core) -> Decimal | None:
    """Return the day's profit where it is in dollars."""
    genesis, equity = core.books.genesis, core.watch.equity
    in_usd = genesis is not None and genesis.account_currency in ("USD", *genesis.usd_peg)
    return equity - core.books.day_open if in_usd and equity is not None else None


def _after(core: Core, usd: Decimal) -> Decimal | None:
    pnl = _day_pnl(core)
    return pnl - usd if pnl is not None else None


def _share_of_pnl(core: Core, usd: Decimal) -> Decimal | None:
    pnl = _day_pnl(core)
    return (usd / pnl).quantize(_PLACES) if pnl is not None and pnl > ZERO else None
