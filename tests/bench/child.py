"""Measure something in a process of its own: what it prints as JSON, its peak memory, its time from start to end."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.candles import ROOT

Result = dict[str, Any]


def run_child(module: str, *args: str | Path) -> Result:
    """Run `python -m tests.bench.MODULE ARGS` and return its result; {"missing": why} when a package is not there."""
    command = [sys.executable, "-m", f"tests.bench.{module}", *map(str, args)]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    took_s = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command[1:])} failed:\n{done.stderr[-2000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "process_s": took_s}


class Watch:
    """Times one run in this process: by the clock, and by what the processor did for it."""

    def __init__(self) -> None:
        self._began_s, self._began_cpu_s = time.perf_counter(), time.process_time()

    @property
    def result(self) -> Result:
        """Seconds since the start, as the results name them."""
        return {"run_s": time.perf_counter() - self._began_s, "cpu_s": time.process_time() - self._began_cpu_s}


def report_child(measure: Callable[[], Result]) -> None:
    """In the child: measure, and print the result with this process's peak memory as one line of JSON."""
    try:
        result = measure()
    except ModuleNotFoundError as error:
        result = {"missing": f"not installed: pip install .[bench] ({error.name} is not there)"}
    print(json.dumps({**result, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    """Return the most memory this process has had resident, in MB of 2**20 bytes."""
    # ru_maxrss of a child starts from its parent's, so where the kernel tells the process's own, that is asked first.
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    if found:
        return int(found[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
