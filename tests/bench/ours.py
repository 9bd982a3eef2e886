"""Our own runs, each as a process of its own: a replay with its journal on disk, and the proof of a store.

`python -m tests.bench.ours replay FILE AGENT STORE` and `... ours verify STORE`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.bench.child import Result, Watch, report_child


def replayed(file: Path, agent: Path, store: Path) -> Result:
    """Time a replay through the whole pipeline, from the file to the closed store."""
    began = time.perf_counter()
    from engine.runtime.replay import ReplayOptions, replay

    import_s, watch = time.perf_counter() - began, Watch()
    folder = agent.parent.parent
    summary = replay(
        ReplayOptions(
            files=(file,), agents=(str(agent),), policy=folder / "policy.toml", config_dir=folder, store=store
        )
    )
    return {
        **watch.result,
        "import_s": import_s,
        "bars": summary["bars"],
        "fills": summary["fills"],
        "equity_end": float(summary["equity_end"]),
        "journal_rows": summary["journal_rows"],
        "holds": summary["decisions"]["hold"],
        "acted": summary["intents"],
        "refusals": summary["refusals"],
        "state": summary["trading_state"],
    }


def verified(store: Path) -> Result:
    """Time the proof of a store."""
    from engine.runtime.reads import verify

    watch = Watch()
    report = verify(store)
    return {
        **watch.result,
        "ok": report.ok,
        "rows": report.rows,
        "seconds": report.seconds,
        "breach": report.first_breach,
    }


if __name__ == "__main__":
    _, wanted, *given = sys.argv
    paths = [Path(each) for each in given]
    report_child(lambda: replayed(*paths) if wanted == "replay" else verified(*paths))
