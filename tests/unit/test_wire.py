"""Commands over the socket: what is packed is unpacked, and nothing else is."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import api
from engine.control.wire import COMMANDS, pack_command, to_json, unpack_command
from engine.errors import UsageError

texts = st.text(max_size=30)
amounts = st.decimals("0.00000001", "1e9", places=8)
tickets = st.builds(
    api.Ticket, instrument=texts, side=st.sampled_from(api.Side), order_type=st.sampled_from(api.OrderType),
    qty=amounts,
    limit_price=st.none() | amounts, stop_frac=st.none() | amounts, target_frac=st.none() | amounts,
)  # fmt: skip
commands = st.one_of(
    st.builds(api.Halt, actor=texts, reason=texts),
    st.builds(api.Resume, actor=texts, reason=texts),
    st.builds(api.CancelAll, include_protection=st.booleans(), actor=texts),
    st.builds(api.Flatten, actor=texts),
    st.builds(api.Approve, approval_id=texts, code=texts, actor=texts),
    st.builds(api.Reject, approval_id=texts, note=texts, actor=texts),
    st.builds(api.ExplainDifference, difference_id=texts, note=texts, actor=texts),
    st.builds(
        api.ApproveDifference,
        difference_id=texts,
        note=texts,
        entry=texts,
        actor=texts,
        price=st.none() | st.decimals(min_value=0, max_value=10**9, places=8),
    ),
    st.builds(api.AgentControl, agent=texts, action=texts, reason=texts, actor=texts),
    st.builds(api.SwitchAi, on=st.booleans(), reason=texts, provider=texts, actor=texts),
    st.builds(api.PreviewTicket, ticket=tickets),
    st.builds(api.SubmitTicket, ticket=tickets, preview_id=texts, actor=texts),
    st.builds(api.ProposeChange, changes=st.dictionaries(texts, texts, max_size=3), reason=texts),
    st.builds(api.ApproveChange, request_id=texts, code=texts, passphrase=texts, note=texts),
    st.builds(api.RejectChange, request_id=texts, passphrase=texts, note=texts),
    st.builds(api.Protect, instrument=texts, stop=st.none() | st.decimals("0.01", "1e6", places=2), bare=st.booleans()),
    st.builds(api.SetPassphrase, old=texts, new=texts),
    st.builds(api.Query, name=texts, args=st.dictionaries(texts, texts, max_size=3)),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(command=commands)
def test_command_is_the_same_at_the_other_end(command: api.Command) -> None:
    assert unpack_command(json.loads(json.dumps(pack_command(command)))) == command


def test_every_command_of_the_api_can_be_sent() -> None:
    assert set(COMMANDS) == {
        "Halt", "Resume", "CancelAll", "Flatten", "Approve", "Reject", "Resolve", "Unblock",
        "ExplainDifference", "ApproveDifference", "AgentControl", "PreviewTicket", "SubmitTicket", "BackUp", "Query",
        "ProposeChange", "ApproveChange", "RejectChange", "SetPassphrase", "SwitchAi", "UnlockKeys", "AskAgain",
        "Protect",
    }  # fmt: skip


@given(message=anything)
def test_whatever_else_comes_is_refused_in_one_sentence(message: Any) -> None:
    with pytest.raises(UsageError) as refused:
        unpack_command(message)
    assert "\n" not in str(refused.value)


@given(fields=anything, name=st.sampled_from(sorted(COMMANDS)))
def test_fields_of_the_wrong_kind_never_become_a_command_of_another_kind(fields: Any, name: str) -> None:
    try:
        command = unpack_command({"version": api.API_VERSION, "command": name, "fields": fields})
    except UsageError:
        return
    assert type(command).__name__ == name
    assert unpack_command(pack_command(command)) == command


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"qty": "NaN"}, "Ticket.qty"),
        ({"qty": "1e400"}, "Ticket.qty"),
        ({"qty": 0.1}, "Ticket.qty must be Decimal, not 0.1"),
        ({"qty": None}, "Ticket.qty"),
        ({"side": "LONG"}, "Ticket.side"),
        ({"order_type": []}, "Ticket.order_type"),
        ({"stop": "1"}, "Ticket has no field 'stop'"),
        ({"instrument": 7}, "Ticket.instrument must be str, not 7"),
    ],
)
def test_ticket_with_an_odd_field_is_refused_by_its_name(changes: dict[str, Any], said: str) -> None:
    fields = {"instrument": "x", "side": "BUY", "order_type": "MARKET", "qty": "1", **changes}
    message = {"version": api.API_VERSION, "command": "PreviewTicket", "fields": {"ticket": fields}}
    with pytest.raises(UsageError, match=said):
        unpack_command(message)


@pytest.mark.fault("P39")
def test_a_console_of_another_version_is_told_to_use_the_same() -> None:
    with pytest.raises(UsageError, match="use the same quarterdeck for both"):
        unpack_command({"version": api.API_VERSION + 1, "command": "Halt", "fields": {}})


def test_long_text_in_the_wrong_place_is_cut_in_the_sentence_about_it() -> None:
    with pytest.raises(UsageError) as refused:
        unpack_command({"version": api.API_VERSION, "command": "x" * 10_000})
    assert len(str(refused.value)) < 500


def test_values_become_what_json_can_carry() -> None:
    shown = to_json(
        {"a": Decimal("1.50"), "b": api.Side.BUY, "c": (1, None, True), "d": api.Reply(ok=True, text="x", data=0.5)}
    )
    assert shown == {
        "a": "1.5", "b": "BUY", "c": [1, None, True], "d": {"ok": True, "text": "x", "data": 0.5},
    }  # fmt: skip
    assert json.loads(json.dumps(shown)) == shown
