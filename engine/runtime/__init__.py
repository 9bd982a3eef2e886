"""The composition root: all that the console may ask of the engine besides engine.api.

Names are looked up when they are used, so that a command pays only for what it calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.config import check_flags, write_defaults
    from engine.keys import Keychain, passphrase_in_file
    from engine.ops.simulate.campaign import simulate
    from engine.paths import config_dir, default_store
    from engine.runtime.databases import back_up, describe, migrate, restore
    from engine.runtime.doctor import doctor
    from engine.runtime.drills import drill
    from engine.runtime.explaining import shadows
    from engine.runtime.halting import carry_out, halt
    from engine.runtime.hosts import ConsoleOptions, EngineHost, console_host, demo_host
    from engine.runtime.importing import import_recording
    from engine.runtime.link import connect, query
    from engine.runtime.policies import changes_of_file
    from engine.runtime.pricing import price_file
    from engine.runtime.reads import export, verify
    from engine.runtime.replay import ReplayOptions, replay
    from engine.runtime.rerun import rerun_cycle
    from engine.runtime.unlocking import unlock
    from engine.store.lock import refuse_owned

_HOMES = {
    "ConsoleOptions": "engine.runtime.hosts",
    "EngineHost": "engine.runtime.hosts",
    "Keychain": "engine.keys",
    "ReplayOptions": "engine.runtime.replay",
    "back_up": "engine.runtime.databases",
    "carry_out": "engine.runtime.halting",
    "changes_of_file": "engine.runtime.policies",
    "check_flags": "engine.config",
    "config_dir": "engine.paths",
    "connect": "engine.runtime.link",
    "console_host": "engine.runtime.hosts",
    "default_store": "engine.paths",
    "demo_host": "engine.runtime.hosts",
    "describe": "engine.runtime.databases",
    "doctor": "engine.runtime.doctor",
    "drill": "engine.runtime.drills",
    "export": "engine.runtime.reads",
    "halt": "engine.runtime.halting",
    "import_recording": "engine.runtime.importing",
    "migrate": "engine.runtime.databases",
    "passphrase_in_file": "engine.keys",
    "price_file": "engine.runtime.pricing",
    "query": "engine.runtime.link",
    "refuse_owned": "engine.store.lock",
    "replay": "engine.runtime.replay",
    "rerun_cycle": "engine.runtime.rerun",
    "restore": "engine.runtime.databases",
    "shadows": "engine.runtime.explaining",
    "simulate": "engine.ops.simulate.campaign",
    "unlock": "engine.runtime.unlocking",
    "verify": "engine.runtime.reads",
    "write_defaults": "engine.config",
}

__all__ = [
    "ConsoleOptions", "EngineHost", "Keychain", "ReplayOptions", "back_up", "carry_out", "changes_of_file",
    "check_flags", "config_dir", "connect", "console_host", "default_store", "demo_host", "describe", "doctor", "drill",
    "export", "halt", "import_recording", "migrate", "passphrase_in_file", "price_file", "query", "refuse_owned",
    "replay", "rerun_cycle", "restore", "shadows", "simulate", "unlock", "verify", "write_defaults",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"engine.runtime has no {name}")
    import importlib  # named here, for it is needed only now

    module = importlib.import_module(home)
    # Kept, and all of a home's at once: importing engine.runtime.replay sets `replay` here to that module.
    globals().update({each: getattr(module, each) for each, where in _HOMES.items() if where == home})
    return globals()[name]
