"""`quarterdeck shadow`: agents beside the second models that decide on the same inputs."""

from __future__ import annotations

from pathlib import Path

from console.options import command
from console.output import print_rows, with_instants

COLUMNS = (
    "agent", "agent_net", "spent", "agent_after", "model", "lane_net", "lane_fees", "lane_spent", "lane_after",
    "lane_fills", "added", "last", "since",
)  # fmt: skip


@command("shadow", reads=True)
def shadow(store: Path | None, as_json: bool) -> None:
    """Show what each agent's model added to what its shadow would have made, after fees and tokens.

    An agent's file names its shadow, such as shadow = "heuristic:sma_cross", or a language model. Both count from when
    the shadow began, with open positions at the last price. The nets are after fees; agent_after and lane_after are
    after tokens too, and added is the one less the other. last: how the shadow's latest question ended. A shadow moves
    no money but what its model costs.
    """
    from engine import runtime

    rows = with_instants(runtime.shadows(store or runtime.default_store()))
    print_rows(rows, as_json=as_json, nothing="No agent has a shadow; its file names one.", columns=COLUMNS)
