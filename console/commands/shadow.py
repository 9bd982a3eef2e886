"""`quarterdeck shadow`: agents beside the second models that decide on the same inputs."""

from __future__ import annotations

from pathlib import Path

from console.options import command
from console.output import print_rows, with_instants

COLUMNS = ("agent", "agent_net", "spent", "model", "lane_net", "lane_fees", "lane_fills", "added", "since")


@command("shadow", reads=True)
def shadow(store: Path | None, as_json: bool) -> None:
    """Show what each agent's model added to what its shadow would have made, after fees and tokens.

    An agent's file names its shadow, such as shadow = "heuristic:sma_cross". Both count from when the shadow began,
    with open positions at the last price; added = agent_net - spent - lane_net. A shadow moves no money.
    """
    from engine import runtime

    rows = with_instants(runtime.shadows(store or runtime.default_store()))
    print_rows(rows, as_json=as_json, nothing="No agent has a shadow; its file names one.", columns=COLUMNS)
