"""The command line, carried out in this process: what it prints, and the exit code a shell would see.

A start of the interpreter costs more than most commands: started() is for what only a process can show.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from console.cli import run

ROOT = Path(__file__).resolve().parents[2]
CLI = (sys.executable, "-m", "console.cli")


def cli(home: Path, *args: object) -> CompletedProcess[str]:
    """Carry a command line out for the trader whose directory this is."""
    words, out, err = [str(arg) for arg in args], io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as here, redirect_stdout(out), redirect_stderr(err):
        here.setenv("QUARTERDECK_HOME", str(home))
        code = run(words)
    return CompletedProcess(words, code, out.getvalue(), err.getvalue())


def started(home: Path, *args: object) -> CompletedProcess[str]:
    """Carry a command line out in a process of its own, as a shell does."""
    env = {**os.environ, "QUARTERDECK_HOME": str(home)}
    words = [*CLI, *map(str, args)]
    return subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=50, check=False)


def answered(home: Path, *args: object) -> Any:
    """Return what a command says under --json; it must succeed."""
    done = cli(home, *args, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
