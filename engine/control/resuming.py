"""Let trading go on again, by a person and with a reason, and say what that clears and what it does not (R17)."""

from __future__ import annotations

from engine.api import Reply, Resume
from engine.control.core import Core
from engine.domain.agent import AgentStatus
from engine.domain.money import kept, plain
from engine.domain.policy import TradingState
from engine.errors import RefusedError


async def resume(core: Core, command: Resume) -> Reply:
    """Resume, or refuse with what stands in the way. A rule that what it saw still holds would halt at once again."""
    reason = command.reason.strip()
    if not reason:
        raise RefusedError("Not resumed: write a reason, it goes into the journal.")
    if core.latch.file_exists:
        raise RefusedError("Not resumed: a HALT file is in the store; remove it first.")
    if core.flattening.is_under_way:
        raise RefusedError("Not resumed: a flatten is under way; wait for its certificate.")
    if core.shown_state is TradingState.ACTIVE:
        return Reply(ok=True, text="ACTIVE already.", data={"trading_state": TradingState.ACTIVE.value})
    now_ms = core.desk.clock.now_ms()
    lasting = core.watch.lasting(now_ms)
    if lasting:
        raise RefusedError(f"Not resumed: {lasting[0]}, and a resume cannot clear that; see to it first, or flatten.")
    cleared = [rule.replace("_", " ") for rule in sorted(core.watch.kill.tiers)]
    await core.resume(command.actor, reason)
    await core.watch.check(now_ms)
    state = core.shown_state.value
    return Reply(ok=True, text=_resumed(core, cleared), data={"trading_state": state, "cleared": cleared})


def _resumed(core: Core, cleared: list[str]) -> str:
    """Say what a resume has cleared, and what it has not."""
    equity, currency, books = core.watch.equity, core.policy.account_currency, core.books
    if equity is None:
        measured = "The kill switch goes on from the baselines it had, for equity is not known"
    else:
        measured = f"The kill switch measures anew, from equity {plain(kept(equity))} {currency}"
    went = f"{', '.join(cleared)} and failures in a row" if cleared else "failures in a row"
    resting = [name for name, status in books.agent_status.items() if status is not AgentStatus.RUNNING]
    blocked = [key for key in books.instruments if books.why_blocked(key)]
    agents = f"agents that do not run ({', '.join(resting)})" if resting else "paused agents"
    held = f"what is blocked ({', '.join(blocked)})" if blocked else "what is blocked"
    goes_on = "trading goes on" if books.state is TradingState.ACTIVE else f"exits only: {books.state_reason}"
    return (
        f"{books.state.value}: {goes_on}. {measured}. Cleared: {went}. Not cleared: today's profit, the peak, the "
        f"trades counted today, {agents} and {held} stay as they were."
    )
