"""`quarterdeck policy`: the limits in force, where each comes from, and how they are changed (R24)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from console.commands.control import answer, send
from console.commands.reading import LIMIT, ask
from console.options import FileArgument, Refusal, command, reading_group
from console.output import print_fields, print_json, print_rows

COLUMNS = ("field", "value", "origin", "loosens")
REQUESTS = ("request_id", "code", "status", "base_version", "actor", "asked_by", "changes", "reason", "due", "note")
WAYS = (
    ("would_pass", "refusals would have passed this check"),
    ("would_be_refused", "passes would have been refused"),
    ("would_be_larger", "orders would have been larger"),
    ("would_be_smaller", "orders would have been smaller"),
)


@reading_group("policy")
@click.pass_context
def policy(ctx: click.Context, store: Path | None, as_json: bool) -> None:
    """Show the limits in force, each with its origin; propose, approve or reject a change of them."""
    if ctx.invoked_subcommand is None:
        _show(store, as_json=as_json)
    else:
        ctx.find_root().obj.store = store


@command("show", reads=True)
def show(store: Path | None, as_json: bool) -> None:
    """Show every value in force with its origin: default, file, version N, or an environment variable."""
    _show(store, as_json=as_json)


def _show(store: Path | None, *, as_json: bool) -> None:
    told = ask(store, "policy")
    if as_json:
        print_json(told)
        return
    click.echo(f"Version {told['version']} since {told['since'] or 'this start'}, {told['hash'][:8]}")
    print_rows(told["values"], as_json=False, nothing="", columns=COLUMNS)
    print_rows(told["agents"], as_json=False, nothing="No agent's limits are changed here.")
    for notice in told["notices"]:
        click.echo(notice)
    if told["waiting"]:
        click.echo(f"Waiting for the admin: {', '.join(told['waiting'])}; see `quarterdeck policy requests`.")


def _wanted(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what a change may be named by: --file and --set."""
    function = click.option(
        "--set", "set_", multiple=True, metavar="FIELD=VALUE", help="limits.open_positions=8; repeat it for more."
    )(function)
    return click.option("--file", "file", type=FileArgument, metavar="F", help="A policy file; its keys count.")(
        function
    )


def _changes(file: Path | None, set_: tuple[str, ...]) -> dict[str, str]:
    from engine import runtime

    asked = runtime.changes_of_file(file) if file is not None else {}
    for item in set_:
        name, equals, value = item.partition("=")
        if not equals or not name.strip():
            raise Refusal(f"--set {item!r} is not FIELD=VALUE; write one such as --set limits.open_positions=8.")
        asked[name.strip()] = value.strip()
    return asked


@command("diff", reads=True)
@click.argument("request_id", metavar="[ID]", required=False)
@_wanted
def diff(store: Path | None, as_json: bool, request_id: str | None, file: Path | None, set_: tuple[str, ...]) -> None:
    """Show what request ID, or a change, would do: its direction, and what the last 30 days would have been."""
    from json import dumps

    if request_id is None and file is None and not set_:
        raise Refusal("Name a request, or a change with --file or --set.")
    args = {"request": request_id} if request_id else {"changes": dumps(_changes(file, set_))}
    told = ask(store, "policy_preview", **args)
    if as_json:
        print_json(told)
        return
    print_rows(told["changes"], as_json=False, nothing="Nothing changes: every value named is in force already.")
    if told["changes"]:
        _print_preview(told["preview"])


def _print_preview(told: dict[str, Any]) -> None:
    click.echo(f"{told['decisions']} decisions since {told['since']}:")
    for name, words in WAYS:
        one = told[name]
        if one["count"]:
            known = f"; of {one['outcome_known']} known, {one['won']} won, {one['value']} in all"
            click.echo(f"  {one['count']} {words}{known}")
    if not told["cases"]:
        click.echo("  none would have gone another way.")
    print_rows(told["cases"], as_json=False, nothing="")
    for sentence in told["unknown"]:
        click.echo(sentence)


@command("propose", reads=True)
@_wanted
@click.option("--reason", required=True, help="Why; it goes into the journal.")
def propose(store: Path | None, as_json: bool, file: Path | None, set_: tuple[str, ...], reason: str) -> int:
    """Ask for other limits: tighter ones apply at once, looser ones wait for the admin.

    A field of an agent's own is agents.NAME.limits.KEY.
    """
    from engine.api import ProposeChange

    if file is None and not set_:
        raise Refusal("Name a change with --file or --set.")
    asked = ProposeChange(changes=_changes(file, set_), reason=reason, via="cli")
    return answer(send(store, asked), as_json=as_json)


@command("requests", reads=True)
@click.option("--all", "also_closed", is_flag=True, help="Answered ones too.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=LIMIT, show_default=True, help="Newest rows.")
def requests(store: Path | None, as_json: bool, also_closed: bool, limit: int) -> None:
    """List the changes that wait, each with the code that approves it."""
    rows = ask(store, "policy_requests", limit=limit, open_only=str(not also_closed).lower())
    if as_json or not rows:
        print_rows(rows, as_json=as_json, nothing="No change of the policy waits.")
        return
    for row in rows:
        print_fields({name: row[name] for name in REQUESTS if row[name] is not None})
        click.echo("")


@command("approve", reads=True)
@click.argument("request_id", metavar="ID")
@click.argument("code")
@click.option("--note", default="", help="Why; it goes into the journal.")
def approve(store: Path | None, as_json: bool, request_id: str, code: str, note: str) -> int:
    """Approve request ID by its CODE and the admin's passphrase, which is asked for (or read from stdin)."""
    from engine.api import ApproveChange

    told = ApproveChange(request_id=request_id, code=code, passphrase=_passphrase("Admin passphrase: "), note=note)
    return answer(send(store, told), as_json=as_json)


@command("reject", reads=True)
@click.argument("request_id", metavar="ID")
@click.option("--note", default="", help="Why; it goes into the journal.")
def reject(store: Path | None, as_json: bool, request_id: str, note: str) -> int:
    """Reject request ID with the admin's passphrase; one that is approved and cools off, too."""
    from engine.api import RejectChange

    told = RejectChange(request_id=request_id, passphrase=_passphrase("Admin passphrase: "), note=note)
    return answer(send(store, told), as_json=as_json)


@command("passphrase", reads=True)
def passphrase(store: Path | None, as_json: bool) -> int:
    """Set the admin's passphrase. On stdin: the old one (an empty line where there is none), then the new one."""
    from engine.api import SetPassphrase

    old = _passphrase("Present passphrase (enter if there is none): ")
    new = _passphrase("New passphrase: ")
    if sys.stdin.isatty() and new != _passphrase("The new one again: "):
        raise Refusal("The two are not the same; nothing was changed.")
    return answer(send(store, SetPassphrase(old=old, new=new)), as_json=as_json)


def _passphrase(prompt: str) -> str:
    """Ask for a passphrase without showing it; without a terminal it is a line of stdin, never an argument."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    from getpass import getpass

    return getpass(prompt)


@command("events", reads=True)
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=LIMIT, show_default=True, help="Newest rows.")
def events(store: Path | None, as_json: bool, limit: int) -> None:
    """List what happened to the policy: versions, requests, answers, wrong passphrases."""
    rows = ask(store, "policy_events", limit=limit)
    print_rows(rows, as_json=as_json, nothing="Nothing has changed since the first version.")


for each in (show, diff, propose, requests, approve, reject, passphrase, events):
    policy.add_command(each)
