"""`quarterdeck keys`: the secrets of model providers, in the keyring or an encrypted file (R31).

Nothing secret is ever an argument: it is asked for without being shown, or read from standard input, a line each.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.commands.control import answer
from console.options import Refusal, command
from console.output import print_json, print_rows

if TYPE_CHECKING:
    from engine.runtime import Keychain


@click.group("keys")
def keys() -> None:
    """Keep, list, try or remove the keys of model providers: in the system's keyring, or in an encrypted file."""


@command("set", store=False)
@click.argument("name", metavar="NAME")
@click.option("--file", "to_file", is_flag=True, help="Keep it in the key file, also where there is a keyring.")
def set_(name: str, to_file: bool) -> None:
    """Keep a key under NAME, such as anthropic or openai; it is asked for, or read from standard input.

    It goes into the system's keyring; into the encrypted key file with --file, where there is one already, or where no
    keyring is safe. On standard input: the file's passphrase, if it goes there, then the key.
    """
    chain = _chain()
    chain.is_in_file(name)  # an odd name is refused before anything is asked
    in_file = chain.keeps_in_file(asked=to_file)
    if in_file:
        _open_or_begin(chain)
    where = chain.keep(name, _secret(f"Key for {name} (it is not shown): "), in_file=in_file)
    click.echo(f"Kept the key {name} in the {where}.")


@command("list", reads=True, store=False)
def list_(as_json: bool) -> None:
    """List the names of the keys there are and where they come from, never a key."""
    print_rows(_chain().rows(), as_json=as_json, nothing="No keys; `quarterdeck keys set anthropic` keeps one.")


@command("remove", reads=True, store=False)
@click.argument("name", metavar="NAME")
def remove(name: str, as_json: bool) -> None:
    """Forget the key NAME; one in the key file takes its passphrase."""
    chain = _chain()
    if chain.is_in_file(name):
        chain.unlock(_passphrase())
    where = chain.remove(name)
    print_json({"removed": name}) if as_json else click.echo(f"Removed the key {name} from the {where}.")


@command("test", reads=True, store=False)
def test(as_json: bool) -> None:
    """Open the key file with its passphrase, say which keys it holds, and close it; no provider is asked."""
    chain = _chain()
    chain.unlock(_passphrase())
    held = [row["name"] for row in chain.rows() if row["origin"] == "key file"]
    told = f"The passphrase opens {chain.key_file().path}: {', '.join(held) or 'it holds no key'}."
    print_json({"opens": True, "names": held}) if as_json else click.echo(told)


@command("passphrase", store=False)
def passphrase() -> None:
    """Seal the key file under another passphrase. On standard input: the old one, then the new one."""
    chain = _chain()
    chain.unlock(_passphrase())
    chain.key_file().change_passphrase(_new_passphrase("New passphrase: "))
    click.echo("The key file has another passphrase; engines that run keep what they have opened.")


@command("unlock", reads=True)
def unlock(store: Path | None, as_json: bool) -> int:
    """Unlock the key file for the engine that runs, until it ends; the passphrase is asked for, or read from stdin."""
    from engine import runtime
    from engine.api import UnlockKeys

    where = store or runtime.default_store()
    return answer(runtime.unlock(where, UnlockKeys(passphrase=_passphrase())), as_json=as_json)


def _chain() -> Keychain:
    from engine import runtime

    settings = click.get_current_context().find_root().obj
    return runtime.Keychain(settings.config_dir or runtime.config_dir())


def _open_or_begin(chain: Keychain) -> None:
    file = chain.key_file()
    if file.exists:
        chain.unlock(_passphrase())
        return
    click.echo(f"The key file {file.path} will be made; without its passphrase nobody can open it.", err=True)
    file.begin(_given() or _new_passphrase("Passphrase of the key file: "))


def _passphrase() -> str:
    return _given() or _secret("Passphrase of the key file: ")


def _given() -> str | None:
    """Return what a passphrase file holds, where the environment names one."""
    import os

    from engine import runtime

    return runtime.passphrase_in_file(os.environ)


def _new_passphrase(prompt: str) -> str:
    new = _secret(prompt)
    if sys.stdin.isatty() and new != _secret("The same again: "):
        raise Refusal("The two are not the same; nothing was changed.")
    return new


def _secret(prompt: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    import getpass  # a terminal that shows what is typed would keep it in its scrollback

    return getpass.getpass(prompt)


for each in (set_, list_, remove, test, passphrase, unlock):
    keys.add_command(each)
