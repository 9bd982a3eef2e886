"""`quarterdeck`: the command line.

A command's module is imported when the command is called, so that a start costs only what it uses. Whatever goes
wrong ends in one sentence on stderr (an object with "ok" and "error" under --json) and an exit code: 0 done, 1 a check
failed, 2 usage or configuration, 3 another engine owns the store, 4 the venue could not be reached, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from console.options import Settings, StoreOption, bell_option, config_option, debug_option, feed_options
from console.version import VERSION

FAILED = 1
INTERRUPTED = 130

# name -> (module:command, what --help says)
COMMANDS = {
    "demo": ("open:demo", "Open the console on a throwaway paper store with a bundled recording."),
    "init": ("setup:init", "Write annotated configuration files to start from."),
    "run-agent": ("run:run_agent", "Run one agent, at once."),
    "replay": ("replay:replay", "Put recorded candles through the whole pipeline."),
    "verify": ("checks:verify", "Prove the journal's chain and every ledger invariant."),
    "db": ("db:db", "Back the store up, restore it, migrate it, or say what is in it."),
    "incidents": ("reading:incidents", "List what went wrong, and what to do about it."),
    "status": ("reading:status", "Show trading state, equity, agents and what is open."),
    "halt": ("control:halt", "Stop all new exposure, at once."),
    "resume": ("control:resume", "Let trading go on, for a reason."),
    "cancel-all": ("control:cancel_all", "Cancel working orders; protection stays unless told otherwise."),
    "flatten": ("control:flatten", "Halt, cancel, close every position, and certify it."),
    "approvals": ("approvals:approvals", "List the trades that wait for you, and those you answered."),
    "approve": ("approvals:approve", "Show one waiting trade, and approve it by its code."),
    "reject": ("approvals:reject", "Reject one waiting trade, with a reason."),
    "ticket": ("ticket:ticket", "Preview a trade of your own, and send it."),
    "resolve": ("control:resolve", "Say what became of an order that the venue leaves open."),
    "protect": ("control:protect", "Put a stop and a target where no agent does: external's positions, or yours."),
    "unblock": ("control:unblock", "Let an instrument be entered again that was held up."),
    "agents": ("agents:agents", "List, show, start, pause, resume or stop agents."),
    "shadow": ("shadow:shadow", "Show what each agent's model added to what a second one would have made."),
    "decisions": ("reading:decisions", "List what agents decided, and what became of it."),
    "orders": ("reading:orders", "List orders."),
    "fills": ("reading:fills", "List fills."),
    "positions": ("reading:positions", "List open positions."),
    "differences": ("differences:differences", "List what differs from the venue; explain or approve it."),
    "spend": ("spend:spend", "Show what models cost, what is left of the caps, and a ledger by day."),
    "ai": ("spend:ai", "Let models be asked, or not."),
    "policy": ("policy:policy", "Show the limits in force; propose, approve or reject a change."),
    "explain": ("reading:explain", "Show everything behind one decision."),
    "rerun": ("rerun:rerun", "Judge a recorded decision again, also under another policy or model."),
    "export": ("reading:export", "Write a table as CSV, JSON or JSON lines."),
    "data": ("data:data", "Import recorded candles."),
    "simulate": ("simulate:simulate", "Prove orders and money against faults and crashes."),
    "keys": ("keys:keys", "Keep, list or remove the keys of model providers."),
    "drill": ("drill:drill", "Rehearse halt and flatten under load, and keep the times."),
    "doctor": ("checks:doctor", "Say what works here, what is missing, and how to get it."),
}


class LazyGroup(click.Group):
    """The commands of COMMANDS, each imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        import importlib  # named here, for it is needed only now

        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        return getattr(importlib.import_module(f"console.commands.{module}"), attribute)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"There is no command {args[0]!r}; {_meant(args[0])}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_where, words) in COMMANDS.items()])


def _meant(word: str) -> str:
    import difflib  # only a mistyped command needs it

    near = difflib.get_close_matches(word, COMMANDS, n=1)
    return f"did you mean {near[0]}?" if near else "see `quarterdeck --help`."


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="quarterdeck", message="%(prog)s %(version)s")
@debug_option
@click.option("--store", type=StoreOption, metavar="DIR", help="Store directory; the default store when not given.")
@config_option
@feed_options
@bell_option
@click.pass_context
def quarterdeck(ctx: click.Context, **given: Any) -> int | None:
    """A trading console for one trader: agents propose, deterministic code decides.

    Without a command the console opens on the default store, trading on paper.
    """
    for name, value in given.items():
        setattr(ctx.obj, name, value)
    if ctx.invoked_subcommand is not None:
        return None
    from console.commands.open import open_console  # the whole console hangs on it

    return open_console(ctx.obj)


def run(args: Sequence[str] | None = None) -> int:
    """Carry a command line out and return its exit code; say what went wrong in one sentence."""
    settings = Settings(as_json="--json" in (sys.argv[1:] if args is None else args))
    try:
        result = quarterdeck.main(args, prog_name="quarterdeck", obj=settings, standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        return _say(_usage_sentence(error), error.exit_code, settings)
    except (KeyboardInterrupt, click.Abort):
        return _say("Interrupted; nothing was sent or closed by that.", INTERRUPTED, settings)
    except BrokenPipeError:
        return _pipe_closed()
    except Exception as error:
        if settings.debug:
            raise
        return _failed(error, settings)


def _failed(error: Exception, settings: Settings) -> int:
    """Errors of ours carry their sentence and exit code; any other is a fault of the program's."""
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        return _say(str(error), code, settings)
    if isinstance(error, OSError) and error.filename:
        sentence = f"{error.filename} cannot be used ({error.strerror}); check the path and its permissions."
        return _say(sentence, FAILED, settings)
    words = " ".join(str(error).split())
    what = f"{type(error).__name__}: {words}" if words else type(error).__name__
    sentence = f"Unexpected failure, {what[:300].rstrip('.')}; run it again with --debug to see where."
    return _say(sentence, FAILED, settings)


def _usage_sentence(error: click.ClickException) -> str:
    words = " ".join(error.format_message().split())
    words = words if words.endswith((".", "?")) else words + "."
    ctx = getattr(error, "ctx", None)
    return f"{words} See `{ctx.command_path} --help`." if ctx and "--help" not in words else words


def _say(sentence: str, code: int, settings: Settings) -> int:
    if settings.as_json:
        import json  # only where it was asked for

        sentence = json.dumps({"ok": False, "error": sentence, "exit_code": code})
    click.echo(sentence, err=True)
    return code


def _pipe_closed() -> int:
    """Nobody reads any more: leave quietly, and keep the interpreter from flushing into the closed pipe."""
    import os  # as above

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FAILED


def main() -> NoReturn:
    """Run the command line of this process."""
    sys.exit(run())


if __name__ == "__main__":
    main()
