"""`quarterdeck rerun`: a recorded decision judged again, sending nothing."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from console.options import Refusal, command
from console.output import cell, print_json, table

PATH = click.Path(path_type=Path, dir_okay=False, exists=True)
POLICY = click.Path(path_type=Path, dir_okay=False)
DECIDED = "DECIDED"
NAMES_SHOWN = ("instrument", "field", "was", "now")


@command("rerun", reads=True)
@click.argument("cycle")
@click.option("--policy", type=POLICY, metavar="FILE", help="Judge it under this policy file or preset too.")
@click.option("--model", metavar="PROVIDER:MODEL", help="Ask this model about the same instant too.")
@click.option("--yes", is_flag=True, help="Agree to what a language model may cost at most.")
@click.option("--answer", type=PATH, metavar="FILE", help="Judge this answer of another model too, word for word.")
@click.option(
    "--recording", "recordings", type=PATH, multiple=True, metavar="FILE", help="Where a replay's prices are."
)
def rerun(
    store: Path | None, as_json: bool, cycle: str, policy: Path | None, model: str | None, yes: bool,
    answer: Path | None, recordings: tuple[Path, ...],
) -> int:  # fmt: skip
    """Judge a recorded decision again from the record alone; nothing is sent.

    The exit code is 1 when the intents, decisions or checks are not the recorded ones, bit for bit. Under another
    policy or model the differences are listed. A language model is asked what was asked then, within the budget; what
    it may cost is said first, and wants a yes. The exit code is 1 as well when it gave no decision.
    """
    from engine import runtime

    where = store or runtime.default_store()
    told = runtime.rerun_cycle(
        where, cycle, policy=policy, model=model, answer=answer, recordings=recordings, agree=partial(_agree, yes)
    )
    if as_json:
        print_json(told)
    else:
        _print(told)
    read, asked = told["answer"], told.get("asked")
    held = read is None or read["same"] is not False
    return 0 if told["same"] and held and (asked is None or asked["outcome"] == DECIDED) else 1


def _agree(yes: bool, price: str) -> None:
    """Say what it may cost, and go on only with a yes: typed at a terminal, or given beforehand."""
    click.echo(price, err=True)
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refusal("Nothing was asked: write --yes to agree to that.")
    if not click.confirm("Ask it?", err=True):
        raise Refusal("Nothing was asked, and nothing was spent.")


def _print(answer: dict[str, Any]) -> None:
    word = "The same, bit for bit" if answer["same"] else "NOT the same"
    click.echo(f"{cell(answer['cycle_id'])}: {word}; made from {answer['made_from']}.")
    for each in answer["decisions"]:
        intent = each["intent"]
        sent = "no order" if intent is None else f"{intent['side']} {intent['qty']} {intent['order_type']}"
        click.echo(f"  {cell(each['instrument'])}  {cell(each['action'])}  {each['disposition']}  {sent}")
    if answer["answer"] is not None:
        told = answer["answer"]
        words = {True: "reads as the drafts that were judged", False: "reads otherwise", None: "is no longer kept"}
        click.echo(
            f"  The model's answer {words[told['same']]}. {cell(told.get('detail', '')) if told.get('detail') else ''}"
        )
    _print_rows("What is not the same:", answer["off"])
    if "asked" in answer:
        _print_asked(answer["asked"])
    if "differences" in answer:
        _print_rows("What would have been otherwise:", answer["differences"])
        if not answer["differences"]:
            click.echo("Nothing would have been otherwise.")


def _print_asked(asked: dict[str, Any]) -> None:
    tokens = f"{asked['input_tokens']} + {asked['output_tokens']} tokens, {asked['latency_ms']} ms"
    click.echo(f"  {cell(asked['model'])} answered {asked['outcome']} for {asked['usd']} USD ({tokens}).")
    if asked["outcome"] != DECIDED:
        click.echo(f"  It gave no decision, so nothing would have been traded: {cell(asked['detail'])}")


def _print_rows(title: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        click.echo(title)
        shown = [{name: _short(row.get(name)) for name in NAMES_SHOWN} for row in rows]
        click.echo(table(shown, NAMES_SHOWN))


def _short(value: Any) -> Any:
    """Say a list of checks by how many there are, and an intent by what it trades; JSON has all of it."""
    if isinstance(value, list):
        refused = [each[0] for each in value if each[1] == "REFUSE"]
        return f"{len(value)} checks{f', refused by {refused[0]}' if refused else ''}"
    if isinstance(value, dict):
        return f"{value['side']} {value['qty']}"
    return value
