"""Where a store lies: its disk, how much is free there, and whether what is written stays (P20)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from engine.errors import RefusedError

_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "fuse.sshfs", "davfs", "ncpfs")
_MEMORY = ("tmpfs", "ramfs")
_MOUNTS = Path("/proc/self/mounts")
_ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


@dataclass(frozen=True, slots=True)
class Place:
    """A file system. kind: as the kernel names it, "" where it does not say. free_bytes: for this user."""

    mount: str
    kind: str
    free_bytes: int
    is_read_only: bool

    @property
    def problem(self) -> str:
        """Why no real money may be kept there, "" when it may."""
        if self.kind in _NETWORK:
            return f"{self.mount} is a network file system ({self.kind}), where locks and syncs may not hold"
        if self.kind in _MEMORY:
            return f"{self.mount} is kept in memory ({self.kind}) and is gone after a restart of the machine"
        if self.kind == "overlay":
            return f"{self.mount} is a container's own layer (overlay) and is gone with the container"
        return ""


def place_of(path: Path) -> Place:
    """Return the file system of a path, or of the nearest directory above it that exists."""
    there = next((each for each in (path, *path.parents) if each.exists()), Path("/")).resolve()
    mount = next((each for each in (there, *there.parents) if os.path.ismount(each)), Path("/"))
    stats = os.statvfs(there)
    free = stats.f_bavail * stats.f_frsize
    return Place(str(mount), _kinds().get(str(mount), ""), free, bool(stats.f_flag & os.ST_RDONLY))


def refuse_for_money(path: Path) -> None:
    """Raise RefusedError where LIVE trading may not keep its store."""
    problem = place_of(path).problem
    if problem:
        raise RefusedError(f"LIVE trading cannot keep its store in {path}: {problem}; name a folder on a local disk.")


def trouble(path: Path) -> str:
    """Return what is known of the disk under a file that cannot be written, in words."""
    try:
        place = place_of(path)
    except OSError as error:
        return f"its disk does not answer ({error.strerror})"
    word = "mounted read-only" if place.is_read_only else f"{place.free_bytes // 1000:,} kB free"
    return f"it is on the disk at {place.mount}, {word}"


def _kinds() -> dict[str, str]:
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        mount, kind = line.split(" ")[1:3]
        for escaped, letter in _ESCAPES:
            mount = mount.replace(escaped, letter)
        found[mount] = kind  # the last one mounted there is the one that is seen
    return found
