"""Secrets: in the system's keyring or in an encrypted file, never in a configuration, a log or the store (R31).

Where neither holds a key, the vendor's usual environment variable is read: a server without a desktop may get its keys
from its service manager.
"""

from engine.keys.keychain import IN_FILE, Keychain, find_key
from engine.keys.keyfile import FILE_NAME, LOCKED, KeyFile
from engine.keys.passphrase import PASSPHRASE_FILE, passphrase_in_file
from engine.keys.ring import keyring_problem
from engine.keys.sealed import LOG2_N, PASSPHRASE_MAX, PASSPHRASE_MIN
from engine.keys.secret import (
    ENVIRONMENT,
    HIDDEN,
    SECRET_CHARACTERS_MAX,
    KeysLockedError,
    Secret,
    WrongPassphraseError,
)

__all__ = [
    "ENVIRONMENT",
    "FILE_NAME",
    "HIDDEN",
    "IN_FILE",
    "LOCKED",
    "LOG2_N",
    "PASSPHRASE_FILE",
    "PASSPHRASE_MAX",
    "PASSPHRASE_MIN",
    "SECRET_CHARACTERS_MAX",
    "KeyFile",
    "Keychain",
    "KeysLockedError",
    "Secret",
    "WrongPassphraseError",
    "find_key",
    "keyring_problem",
    "passphrase_in_file",
]  # fmt: skip
