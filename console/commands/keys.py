"""`quarterdeck keys`: the secrets of model providers, in the system's keyring; never on the command line (R31)."""

from __future__ import annotations

import sys

import click

from console.options import command
from console.output import print_json, print_rows


@click.group("keys")
def keys() -> None:
    """Keep, list or remove the keys of model providers. They stay in the system's keyring."""


@command("set", store=False)
@click.argument("name", metavar="NAME")
def set_(name: str) -> None:
    """Keep a key under NAME, such as anthropic or openai; it is asked for, or read from standard input."""
    from engine import runtime

    runtime.set_key(name, _asked_for(name))
    click.echo(f"Kept the key {name} in the keyring.")


@command("list", reads=True, store=False)
def list_(as_json: bool) -> None:
    """List the names of the keys there are and where they come from, never a key."""
    from engine import runtime

    rows = runtime.list_keys()
    print_rows(rows, as_json=as_json, nothing="No keys; `quarterdeck keys set anthropic` keeps one.")


@command("remove", reads=True, store=False)
@click.argument("name", metavar="NAME")
def remove(name: str, as_json: bool) -> None:
    """Forget the key NAME."""
    from engine import runtime

    runtime.remove_key(name)
    print_json({"removed": name}) if as_json else click.echo(f"Removed the key {name} from the keyring.")


def _asked_for(name: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline()
    import getpass  # a terminal that shows what is typed would keep it in its scrollback

    return getpass.getpass(f"Key for {name} (it is not shown): ")


for each in (set_, list_, remove):
    keys.add_command(each)
