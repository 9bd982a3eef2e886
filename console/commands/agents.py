"""`quarterdeck agents`: what there is, and start, pause, resume, stop."""

from __future__ import annotations

from pathlib import Path

import click

from console.commands.control import answer, send
from console.commands.reading import ask
from console.options import Refusal, command, reading_group
from console.output import print_fields, print_json, print_rows, with_instants

COLUMNS = ("name", "status", "model", "autonomy", "instruments", "cycles", "trades_today", "realized")


@reading_group("agents")
@click.pass_context
def agents(ctx: click.Context, store: Path | None, as_json: bool) -> None:
    """List, show, start, pause, resume or stop agents."""
    if ctx.invoked_subcommand is None:
        _print_agents(store, as_json)
    else:
        ctx.find_root().obj.store = store


@command("list", reads=True)
def list_agents(store: Path | None, as_json: bool) -> None:
    """List the store's agents."""
    _print_agents(store, as_json)


def _print_agents(store: Path | None, as_json: bool) -> None:
    print_rows(with_instants(ask(store, "agents")), as_json=as_json, nothing="No agents yet.", columns=COLUMNS)


@command("show", reads=True)
@click.argument("name")
def show(store: Path | None, as_json: bool, name: str) -> None:
    """Show one agent's settings and state."""
    rows = with_instants(ask(store, "agents"))
    found = [row for row in rows if row.get("name") == name]
    if not found:
        there = ", ".join(str(row.get("name")) for row in rows) or "none"
        raise Refusal(f"There is no agent {name!r} in this store; there are: {there}.")
    print_json(found[0]) if as_json else print_fields(found[0])


def _control(action: str, what: str) -> click.Command:
    @command(action, reads=True)
    @click.argument("name")
    @click.option("--reason", default="", help="Why; it goes into the journal.")
    def control(store: Path | None, as_json: bool, name: str, reason: str) -> int:
        from engine.api import AgentControl

        return answer(send(store, AgentControl(agent=name, action=action, reason=reason)), as_json=as_json)

    control.help = what
    return control


agents.add_command(list_agents)
agents.add_command(show)
agents.add_command(_control("start", "Let a stopped agent's cycles run."))
agents.add_command(_control("pause", "Skip an agent's cycles until it is resumed; its protection stays."))
agents.add_command(_control("resume", "Let a paused agent's cycles run again."))
agents.add_command(_control("stop", "End an agent's cycles; its positions and protection stay."))
