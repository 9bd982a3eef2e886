import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.events import (
    EVENT_TYPES,
    CycleDone,
    CycleHeld,
    Event,
    Filled,
    FundsMoved,
    OrderIntended,
    OrdersUpdated,
)
from engine.domain.order import OrderStatus
from engine.errors import StoreError
from engine.ids import client_order_id
from engine.store.codec import decode, encode, encode_held
from engine.store.dictionaries import FIRST, SECOND
from engine.store.packing import pack, unpack
from tests.store.samples import OPENING, round_trips

AMOUNTS = st.builds(
    lambda number, places: Decimal(number).scaleb(-places), st.integers(-(10**18), 10**18), st.integers(0, 18)
)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(), max_size=30),
    int: st.integers(-(2**62), 2**62),
    bool: st.booleans(),
    Decimal: AMOUNTS,
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Return all values of a type hint that events use."""
    if hint in PLAIN:
        return PLAIN[hint]
    if get_origin(hint) is tuple:
        return st.lists(values(get_args(hint)[0]), max_size=3).map(tuple)
    if get_origin(hint) in (types.UnionType, Union):
        (inner,) = [arg for arg in get_args(hint) if arg is not type(None)]
        return st.none() | values(inner)
    if issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    assert isinstance(hint, type)
    assert is_dataclass(hint)
    hints = get_type_hints(hint)
    make: Callable[..., Any] = hint
    return st.builds(make, **{field.name: values(hints[field.name]) for field in fields(hint)})


EVENTS: st.SearchStrategy[Event] = st.one_of(*map(values, EVENT_TYPES.values()))


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_every_event_is_read_back_as_it_was_written(kind: int) -> None:
    @given(values(EVENT_TYPES[kind]))
    def check(event: Event) -> None:
        text = encode(event)
        assert decode(kind, text) == event
        assert encode(decode(kind, text)) == text
        assert unpack(pack(text)) == text
        text.encode()  # half a surrogate pair must not reach the file

    check()


@given(EVENTS, EVENTS)
def test_different_events_have_different_texts(one: Event, other: Event) -> None:
    assert ((one.KIND, encode(one)) == (other.KIND, encode(other))) == (one == other)


@given(st.text(), st.text())
def test_the_short_way_for_holds_writes_the_same_text(agent: str, items: str) -> None:
    assert encode_held(agent, items) == encode(CycleHeld(agent=agent, items=items))


def test_equal_amounts_have_one_text_whatever_their_trailing_zeros() -> None:
    moved = FundsMoved(asset="USD", amount=Decimal("1.500"), value=Decimal("1E+3"), reason="")
    assert encode(moved) == '["USD",1.5,1000,""]'


@pytest.mark.parametrize(
    "amount",
    [
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("1E+19"),
        Decimal("1E-19"),
        1.5,
        1,
        "1.5",
        None,
    ],
)
def test_what_is_no_finite_decimal_amount_is_not_written_L7(amount: Any) -> None:
    with pytest.raises(StoreError, match="FundsMoved"):
        encode(FundsMoved(asset="USD", amount=amount, value=Decimal(1), reason=""))


@given(st.floats() | st.decimals(allow_nan=True, allow_infinity=True))
def test_no_float_and_no_boundless_number_reaches_a_money_column_L7(number: Any) -> None:
    try:
        text = encode(FundsMoved(asset="USD", amount=number, value=Decimal(1), reason=""))
    except StoreError:
        return
    assert type(number) is Decimal
    read = decode(FundsMoved.KIND, text)
    assert isinstance(read, FundsMoved)
    assert read.amount == number
    assert abs(read.amount) < Decimal("1E+19")
    assert -int(read.amount.as_tuple().exponent) <= 18


@pytest.mark.parametrize(
    ("field", "value"),
    [("agent", 1), ("side", "BUY"), ("limit_price", 2.0), ("instrument", None), ("qty", True)],
)
def test_a_field_of_another_type_is_not_written(field: str, value: Any) -> None:
    order = next(event for _ts, event in round_trips(1) if isinstance(event, OrderIntended))
    with pytest.raises(StoreError, match="OrderIntended"):
        encode(replace(order, **{field: value}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "{}",
        '["USD",1,1]',
        '["USD",1,1,"",""]',
        '["USD",1,1,""] ',
        '["USD","1",1,""]',
        '["USD",1.50,1,""]',
        '["USD",1e2,1,""]',
        '["USD",1e999,1,""]',
        '["USD",NaN,1,""]',
        '["USD",Infinity,1,""]',
        '["USD",true,1,""]',
        '["USD",null,1,""]',
        '["USD",1,1,{"a":1,"a":2}]',
        '["USD",1,1,7]',
        '["USD",10000000000000000000,1,""]',
        '["USD",0.1234567890123456789,1,""]',
        "[" * 100_000,
    ],
)
def test_a_text_in_any_other_form_is_not_read(text: str) -> None:
    with pytest.raises(StoreError, match="FundsMoved"):
        decode(FundsMoved.KIND, text)


def test_a_check_read_before_is_read_as_strictly_again() -> None:
    done = next(event for _ts, event in round_trips(1) if isinstance(event, CycleDone))
    text = encode(done)
    assert decode(CycleDone.KIND, text) == done
    for changed in ('"PASS","PASS"', "7", '["PASS"]', "null"):
        with pytest.raises(StoreError, match="CycleDone"):
            decode(CycleDone.KIND, text.replace('"AGENT_STATE","PASS"', f'"AGENT_STATE",{changed}'))


ODD = (',[["', '],["', '"]]]]]', "]]]]]", '\\",[["', "plain")


@given(st.lists(st.sampled_from(ODD), min_size=4, max_size=4), st.integers(0, 3), st.integers(0, 2))
def test_texts_that_look_like_arrays_are_read_as_texts(texts: list[str], checks: int, more: int) -> None:
    done = next(event for _ts, event in round_trips(1) if isinstance(event, CycleDone))
    one, two, three, four = texts
    told = tuple(replace(check, observed=one, limit=two) for check in done.items[0].checks[:checks])
    item = replace(done.items[0], rationale=three, checks=told)
    event = replace(done, detail=four, items=(item, *done.items * more))
    assert decode(CycleDone.KIND, encode(event)) == event


@pytest.mark.parametrize("kind", [0, 9, 999, -1, "6", None])
def test_an_unknown_kind_is_not_read(kind: Any) -> None:
    with pytest.raises(StoreError, match="no event has kind"):
        decode(kind, "[]")


def test_an_unknown_status_is_not_read() -> None:
    text = encode(OrdersUpdated(client_order_ids=("a",), status=OrderStatus.OPEN)).replace("OPEN", "AJAR")
    with pytest.raises(StoreError, match="AJAR"):
        decode(OrdersUpdated.KIND, text)


IDS = st.text("0123456789abcdef", min_size=32, max_size=32)
TEXTS = st.text('"\\\\,[]a\0\1', max_size=5) | IDS
PIECES = st.lists(
    TEXTS | TEXTS.map(lambda text: f'"{text}"') | TEXTS.map(lambda text: f'"{client_order_id("0123abcd", text)}"')
)


@given(PIECES, st.sampled_from([",", ""]))
def test_any_text_with_order_ids_in_it_is_unpacked_as_it_was(pieces: list[str], between: str) -> None:
    text = between.join(pieces)
    assert unpack(pack(text)) == text


def test_an_order_costs_few_bytes_for_its_id_and_an_id_of_another_making_is_kept_whole() -> None:
    order = next(event for _ts, event in round_trips(1) if isinstance(event, OrderIntended))
    stranger = replace(order, client_order_id="f" * 32)
    derived, whole = pack(encode(order)), pack(encode(stranger))
    assert len(whole) - len(derived) >= 12
    assert decode(OrderIntended.KIND, unpack(derived)) == order
    assert decode(OrderIntended.KIND, unpack(whole)) == stranger


@pytest.mark.parametrize("kept", [b"", b"\x00", b"no deflate stream", pack(encode(round_trips(1)[0][1]))[:-3]])
def test_packed_bytes_that_are_not_whole_are_not_read(kept: bytes) -> None:
    with pytest.raises(StoreError, match="packed"):
        unpack(kept)


def test_a_payload_is_packed_only_where_that_is_shorter() -> None:
    texts = [encode(event) for event in OPENING] + [encode(event) for _ts, event in round_trips(2)]
    assert all(len(pack(text)) <= len(text) for text in texts)
    assert pack('["a","b"]') == '["a","b"]'


FIRST_ROWS = {
    OrderIntended.KIND: "010123abcd8b564a49cdcdd705a613bd9cfcca72e332230b6c96612852428891e21003431d1323604e44721000",
    OrdersUpdated.KIND: "040123abcdc443480d48524b4a689e37b043e30200",
    Filled.KIND: "040123abcdc443480d48524b4a689e37b08b564a49cdcdd705a6130a7c6f60a8636204cc5f40a68911665018"
    "80811988888d0500",
}


def test_rows_packed_with_the_first_dictionary_are_read_as_ever() -> None:
    events = {event.KIND: event for _ts, event in round_trips(1)}
    for kind, kept in FIRST_ROWS.items():
        assert decode(kind, unpack(bytes.fromhex(kept))) == events[kind]


def test_no_dictionary_is_ever_edited_for_rows_are_packed_with_it() -> None:
    digests = [sha256(each.encode()).hexdigest()[:16] for each in (FIRST, SECOND)]
    assert digests == ["214addbcc044e74a", "dd6c22142cf01876"]
