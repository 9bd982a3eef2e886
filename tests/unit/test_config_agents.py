"""Agent files: read exactly, or refused in one sentence that says what, where and what to do."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from engine.config import Instruments, agents_of, load_agent, load_agents
from engine.domain.agent import AgentConfig, AgentLimits, Distance, Measure, Protection, Schedule
from engine.domain.intent import Autonomy, Mode
from engine.domain.policy import OnMissing
from engine.domain.provider import HEURISTICS
from engine.errors import UsageError
from engine.llm.heuristic import MODELS

HEAD = """
name = "dip-buyer"
model = "heuristic:rsi_reversion"
instruments = ["BTCUSD", "ETH/USDT"]
timeframe = "5m"
"""
FULL = (
    HEAD
    + """
mode = "paper"
autonomy = "approve"
capital_share = "20%"
strategy = "Buy weakness in an up-trend."
approval_expires = "10m"
[model_settings]
rsi_period = 14
oversold = 30.5
strict = true
[schedule]
cron = "*/15 9-16 * * 1-5"
zone = "America/New_York"
[protection]
stop = "2%"
target = "off"
trailing = "off"
[limits]
confidence_min = 0.7
trades_per_day = 10
position_notional_max = "10000.50"
portfolio_share = 0.1
cooldown_after_loss = "30m"
allowed = ["BTCUSD"]
blocked = ["paper:SOL/USDT"]
qty_fixed = "0.25"
qty_max = 2
[on_failure]
fallback = "heuristic:sma_cross"
pause_after = 3
"""
)


@pytest.fixture(scope="module")
def listed() -> Instruments:
    return Instruments.load()


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "dip.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_short_file_takes_the_documented_defaults(tmp_path: Path, listed: Instruments) -> None:
    assert load_agent(written(tmp_path, HEAD), listed) == AgentConfig(
        name="dip-buyer",
        model="heuristic:rsi_reversion",
        instruments=("paper:BTC/USDT", "paper:ETH/USDT"),
        timeframe_ms=300_000,
    )


def test_every_key_reaches_its_field(tmp_path: Path, listed: Instruments) -> None:
    assert load_agent(written(tmp_path, FULL), listed) == AgentConfig(
        name="dip-buyer",
        model="heuristic:rsi_reversion",
        instruments=("paper:BTC/USDT", "paper:ETH/USDT"),
        timeframe_ms=300_000,
        mode=Mode.PAPER,
        autonomy=Autonomy.APPROVE,
        capital_share_frac=Decimal("0.2"),
        strategy="Buy weakness in an up-trend.",
        model_settings={"rsi_period": 14, "oversold": 30.5, "strict": True},
        schedule=Schedule(every_candle=False, cron="*/15 9-16 * * 1-5", zone="America/New_York"),
        protection=Protection(stop_frac=Decimal("0.02"), target_frac=None),
        limits=AgentLimits(
            confidence_min=Decimal("0.7"),
            trades_per_day=10,
            position_notional_max=Decimal("10000.50"),
            portfolio_share_frac=Decimal("0.1"),
            cooldown_after_loss_ms=1_800_000,
            allowed=("paper:BTC/USDT",),
            blocked=("paper:SOL/USDT",),
            qty_fixed=Decimal("0.25"),
            qty_max=Decimal(2),
        ),
        fallback="heuristic:sma_cross",
        pause_after_failures=3,
        approval_ttl_ms=600_000,
    )


@pytest.mark.parametrize(
    ("written_as", "length_ms"),
    [("10s", 10_000), ("90s", 90_000), ("5m", 300_000), ("30m", 1_800_000), ("1h", 3_600_000), ("1d", 86_400_000)],
)
def test_durations(tmp_path: Path, listed: Instruments, written_as: str, length_ms: int) -> None:
    text = f'{HEAD}[schedule]\ninterval = "{written_as}"'
    schedule = load_agent(written(tmp_path, text), listed).schedule
    assert schedule == Schedule(every_candle=False, interval_ms=length_ms)


@pytest.mark.parametrize(
    ("written_as", "measure", "amount", "unit", "period"),
    [("150bps", Measure.SHARE, "0.015", "", 14), ("2 ATR", Measure.ATR, "2", "", 14),
     ("2.5ATR(20)", Measure.ATR, "2.5", "", 20), ("500 USDT", Measure.PRICE, "500", "USDT", 14)],
)  # fmt: skip
def test_distances_of_stops(
    tmp_path: Path, listed: Instruments, written_as: str, measure: Measure, amount: str, unit: str, period: int
) -> None:
    wanted = Distance(measure=measure, amount=Decimal(amount), unit=unit, period=period)
    text = f'{HEAD}[protection]\nstop = "{written_as}"\ntarget = "{written_as}"\ntrailing = "{written_as}"'
    read = load_agent(written(tmp_path, text), listed).protection
    assert (read.stop, read.target, read.trail) == (wanted, wanted, wanted)


def test_a_trailing_stop_alone_is_the_first_stop_too(tmp_path: Path, listed: Instruments) -> None:
    text = f'{HEAD}[protection]\nstop = "off"\ntrailing = "3%"\nmissing = "close"'
    read = load_agent(written(tmp_path, text), listed).protection
    assert read.stop == Distance(measure=Measure.SHARE, amount=Decimal("0.03"))
    assert read.missing is OnMissing.CLOSE


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('stop = "0 ATR"', "[protection] stop 0 ATR is out of bounds; write above 0 and up to 50 ATR."),
        ('stop = "2 ATR(1)"', "[protection] stop ATR(1) is out of bounds; write a period of 2 to 500."),
        ('stop = "0 USDT"', "[protection] stop 0 USDT must be above 0."),
        ('stop = "-2 ATR"', '[protection] stop "-2 ATR" is not a distance; write one such as'),
        ('stop = "120%"', "[protection] stop 120% is above 99%; write less."),
        ('stop = "nan"', '[protection] stop "nan" is not a distance'),
        ("trailing = 2", '[protection] trailing 2 can be read as 2% or as 200%; write "2%" or "200%".'),
        ('stop = "500 EUR"', "[protection] stop is an amount of EUR, and paper:BTC/USDT is priced in USDT;"),
        ('stop = "off"\nmissing = "repair"', "[protection] missing has no meaning without a stop;"),
        ('missing = "pray"', '[protection] missing "pray" is not known; write '),
    ],
)
def test_nonsense_of_protection_is_refused(tmp_path: Path, listed: Instruments, line: str, message: str) -> None:
    path = written(tmp_path, f"{HEAD}[protection]\n{line}")
    assert refusal(path, listed).startswith(f"{path} {message}")


def test_every_candle_and_nought(tmp_path: Path, listed: Instruments) -> None:
    text = (
        f'{HEAD}[schedule]\nevery = "candle"\n[limits]\ntrades_per_day = 0\nportfolio_share = "0%"\nconfidence_min = 0'
    )
    agent = load_agent(written(tmp_path, text), listed)
    assert agent.schedule == Schedule()
    assert (agent.limits.trades_per_day, agent.limits.portfolio_share_frac) == (0, Decimal(0))


TOP = [
    ('name = "dip-buyer"', 'name = "Dip Buyer"', "name", 'up to 32 small letters, digits and hyphens, such as "dip-bu'),
    ('name = "dip-buyer"', 'name = "trader"', "name trader", "is taken by the engine itself; choose another."),
    ("heuristic:rsi_reversion", "rsi", 'model "rsi"', 'must be "provider:model", such as "heuristic:sma_cross", or'),
    ("timeframe =", "timefrme =", "timefrme", "is not a known key; did you mean timeframe?"),
    ('timeframe = "5m"', "", "timeframe", "is missing; add it."),
    ('"5m"', "5", "timeframe 5", 'is not a duration with a unit; write "5s" or "5m".'),
    ('"5m"', '"7m"', "timeframe 7m", 'does not divide a day; write one such as "1m", "5m", "1h" or "1d".'),
    ('"5m"', '"2d"', "timeframe 2d", "is out of bounds; write 1s to 1d."),
    ("BTCUSD", "BTCUSDX", "instruments BTCUSDX", "is not in the list of instruments; did you mean paper:BTC/USDT"),
    ('["BTCUSD", "ETH/USDT"]', "[]", "instruments", "is empty; name at least one."),
    ('["BTCUSD", "ETH/USDT"]', '["BTCUSD", "BTC/USDT"]', "instruments", "names the same thing twice; take one out."),
    ('["BTCUSD", "ETH/USDT"]', '"BTCUSD"', "instruments", 'must be a list such as ["a", "b"], not text.'),
]
MORE = [
    ('autonomy = "yes"', 'autonomy "yes"', "is not known; write observe, approve or auto."),
    ('mode = "live"', 'mode "live"', 'is not available yet; write "paper".'),
    ("capital_share = 20", "capital_share 20", 'can be read as 20% or as 2000%; write "20%" or "2000%".'),
    ('capital_share = "0%"', 'capital_share "0%"', 'must be above 0, such as "2%".'),
    ('capital_share = "120%"', "capital_share 120%", "is above 100%; write less."),
    ("strategy = 5", "strategy", "must be text in quotes, not a number."),
    ("schedule = 5", "[schedule]", "must be a table of keys, not a number."),
    ("[protection]\nstop = 5", "[protection] stop 5", 'can be read as 5% or as 500%; write "5%" or "500%".'),
    ("[protection]\nstop = 0", "[protection] stop 0", "is not a share between 0 and 1; write it as "),
    ("[protection]\nstop = true", "[protection] stop 'True'", "is not a number; write it as "),
    (
        '[protection]\ntrailing = "upwards"',
        '[protection] trailing "upwards"',
        'is not a distance; write one such as "2%", "2 ATR", "2 ATR(20)" or "500 USDT".',
    ),
    ("[limits]\nmax_dayly_loss = 1", "[limits] max_dayly_loss", "is not a known key; the keys are allowed, blocked, "),
    ("[limits]\ntrades_per_dya = 1", "[limits] trades_per_dya", "is not a known key; did you mean trades_per_day?"),
    ("[limits]\ntrades_per_day = -1", "[limits] trades_per_day -1", "is out of bounds; write 0 to 100000."),
    ("[limits]\ntrades_per_day = 1.5", "[limits] trades_per_day 1.5", "is not a whole number; write one such as 10."),
    (
        "[limits]\nposition_notional_max = inf",
        "[limits] position_notional_max Infinity",
        'is not a finite amount; write one such as "10000".',
    ),
    (
        "[limits]\nposition_notional_max = -5",
        "[limits] position_notional_max -5",
        "must be an amount of 0 (none allowed) or more.",
    ),
    ("[limits]\nconfidence_min = 85", "[limits] confidence_min 85", 'can be read as 85% or as 8500%; write "85%"'),
    (
        '[limits]\ncooldown_after_loss = "soon"',
        '[limits] cooldown_after_loss "soon"',
        'is not a duration with a unit; write "90s", "30m", "1h" or "1d".',
    ),
    ("[limits]\nqty_fixed = 0", "[limits] qty_fixed 0", "must be an amount above 0."),
    (
        '[schedule]\nevery = "minute"',
        '[schedule] every "minute"',
        'is not known; write "candle", or use interval or cron instead.',
    ),
    ('[schedule]\ninterval = "1s"', "[schedule] interval 1s", "is out of bounds; write 10s to 7d."),
    (
        '[schedule]\ncron = "* * *"\nzone = "UTC"',
        '[schedule] cron "* * *"',
        "is not a cron line of five fields; write one such as ",
    ),
    (
        '[schedule]\ncron = "0 9 * * *"',
        "[schedule] cron",
        'needs a zone, such as zone = "America/New_York".',
    ),
    (
        '[schedule]\ncron = "0 9 * * *"\nzone = "Mars/Olympus"',
        '[schedule] zone "Mars/Olympus"',
        "is not a time zone; write one such as ",
    ),
    (
        '[schedule]\nevery = "candle"\ninterval = "5m"',
        "[schedule]",
        "has every and interval; keep one of every, interval and cron.",
    ),
    ('[schedule]\nzone = "UTC"', "[schedule] zone", "only has a meaning beside cron; take it out."),
    ("[on_failure]\npause_after = 0", "[on_failure] pause_after 0", "is out of bounds; write 1 to 1000."),
    ("[model_settings]\nx = nan", "[model_settings] x NaN", "is not a finite number; write one such as 0.5."),
    ("[model_settings]\nx = [1]", "[model_settings] x", "must be text, a number, true or false."),
]


def refusal(path: Path, listed: Instruments) -> str:
    with pytest.raises(UsageError) as raised:
        load_agent(path, listed)
    message = str(raised.value)
    assert "\n" not in message
    assert message[-1] in ".?"
    return message


@pytest.mark.fault("W03", "W04", "W05")
@pytest.mark.parametrize(("old", "new", "place", "message"), TOP)
def test_a_bad_head_is_refused(
    tmp_path: Path, listed: Instruments, old: str, new: str, place: str, message: str
) -> None:
    path = written(tmp_path, HEAD.replace(old, new))
    said = refusal(path, listed)
    assert said.startswith(f"{path} {place}")
    assert message in said


@pytest.mark.fault("W03", "W04", "W05", "C11")
@pytest.mark.parametrize(("extra", "place", "message"), MORE, ids=[each[0].replace("\n", " ") for each in MORE])
def test_a_bad_key_is_refused(tmp_path: Path, listed: Instruments, extra: str, place: str, message: str) -> None:
    path = written(tmp_path, HEAD + extra)
    assert refusal(path, listed).startswith(f"{path} {place} {message}")


@pytest.mark.fault("W01")
@pytest.mark.parametrize(
    ("text", "place"),
    [("name = dip", "line 1, column 8: "), (HEAD + "[limits\n", "line 6, column "), ('a = "', "end of document")],
)
def test_a_file_that_does_not_parse_is_refused_with_its_place(
    tmp_path: Path, listed: Instruments, text: str, place: str
) -> None:
    path = written(tmp_path, text)
    said = refusal(path, listed)
    assert said.startswith(f"{path} is not valid TOML: ")
    assert place in said


@pytest.mark.fault("W02")
@pytest.mark.parametrize("value", ["no", "12:30", "0o", "!!python/object:os.system"])
def test_what_yaml_would_guess_at_does_not_parse(tmp_path: Path, listed: Instruments, value: str) -> None:
    assert "is not valid TOML" in refusal(written(tmp_path, f"{HEAD}capital_share = {value}"), listed)


@pytest.mark.fault("W08")
@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('[model_settings]\napi_key = "abc"', "model_settings.api_key"),
        ('[model_settings]\nclient_secret = "abc"', "model_settings.client_secret"),
        ('anthropic_apikey = "abc"', "anthropic_apikey"),
        ('strategy = "sk-ant-REDACTED"', "strategy"),
        ('[limits]\nallowed = ["sk-proj-0123456789"]', "limits.allowed"),
    ],
)
def test_a_secret_is_refused_and_never_repeated(tmp_path: Path, listed: Instruments, line: str, name: str) -> None:
    path = written(tmp_path, HEAD + line)
    said = refusal(path, listed)
    assert said == (
        f"{path} holds what looks like a secret in {name}; take it out, and replace that secret "
        "where it was issued if anyone else could read it."
    )


def test_a_file_that_is_not_text_is_refused(tmp_path: Path, listed: Instruments) -> None:
    path = tmp_path / "dip.toml"
    path.write_bytes(b'name = "a"\nmodel = "\xff"\n')
    assert refusal(path, listed) == f"{path} is not UTF-8 text at line 2; save it as UTF-8."
    assert refusal(tmp_path / "none.toml", listed) == (
        f"{tmp_path / 'none.toml'} does not exist; check the name, or let `quarterdeck init` write files to start from."
    )


def test_control_characters_never_reach_the_message(tmp_path: Path, listed: Instruments) -> None:
    assert "\x1b" not in refusal(written(tmp_path, HEAD + 'autonomy = "\\u001b[2J"'), listed)


def test_agents_of_a_directory_come_in_name_order_and_have_names_of_their_own(
    tmp_path: Path, listed: Instruments
) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "1.toml").write_text(HEAD.replace("dip-buyer", "zulu"), encoding="utf-8")
    (folder / "2.toml").write_text(HEAD.replace("dip-buyer", "alpha"), encoding="utf-8")
    assert [agent.name for agent in load_agents(tmp_path, listed)] == ["alpha", "zulu"]
    (folder / "3.toml").write_text(HEAD.replace("dip-buyer", "zulu"), encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        load_agents(tmp_path, listed)
    assert str(raised.value) == (f"{folder / '3.toml'} and {folder / '1.toml'} both name their agent zulu; rename one.")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (
            'sizing = "martingale"',
            '[limits] sizing "martingale" is not known; write risk, volatility, notional or kelly.',
        ),
        ('sizing = "notional"', '[limits] sizing = "notional" needs notional_fixed, the worth of a position; add it.'),
        ('kelly_share = "5%"', '[limits] kelly_share only has a meaning beside sizing = "kelly"; take it out.'),
        (
            'sizing = "kelly"\nqty_fixed = 1',
            "[limits] has qty_fixed and sizing; keep the one that is to make the size.",
        ),
    ],
)
def test_a_way_of_sizing_without_what_it_needs_or_beside_another_is_refused(
    tmp_path: Path, limits: str, message: str
) -> None:
    path = tmp_path / "a.toml"
    head = 'name = "a"\nmodel = "heuristic:sma_cross"\ninstruments = ["BTC/USDT"]\ntimeframe = "5m"\n'
    path.write_text(f"{head}[limits]\n{limits}\n", encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        load_agent(path, Instruments.load())
    assert str(raised.value).startswith(f"{path} {message}")


PRICED = """
dated = 2026-10-24
[models."anthropic:claude-haiku-5-5"]
input = "1"
output = "5"
context = 1000
[models."openai:gpt-5-mini"]
input = "1"
output = "5"
context = 1000
[models."openrouter:gpt-5-mini"]
input = "1"
output = "5"
context = 1000
"""


@pytest.fixture
def priced(tmp_path: Path) -> Path:
    """A configuration that lists what three models charge."""
    (tmp_path / "prices.toml").write_text(PRICED, encoding="utf-8")
    (tmp_path / "agents").mkdir()
    return tmp_path


def named(priced: Path, model: str, more: str = "") -> Path:
    path = priced / "agents" / "dip.toml"
    path.write_text(HEAD.replace("heuristic:rsi_reversion", model) + more, encoding="utf-8")
    return path


def test_bare_name_of_a_model_that_one_provider_lists_is_that_providers(priced: Path, listed: Instruments) -> None:
    named(priced, "claude-haiku-5-5", '\nshadow = "breakout"\n[on_failure]\nfallback = "sma_cross"\n')
    (agent,) = load_agents(priced, listed)
    assert (agent.model, agent.shadow, agent.fallback) == (
        "anthropic:claude-haiku-5-5", "heuristic:breakout", "heuristic:sma_cross",
    )  # fmt: skip
    named(priced, "gpt-5-mini", '\nprovider = "openrouter"\n')
    assert [each.model for each in load_agents(priced, listed)] == ["openrouter:gpt-5-mini"]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("gpt-5-mini", "is a model of several providers; write openai:gpt-5-mini or openrouter:gpt-5-mini."),
        ("claude-haiku-5", "is no model that prices.toml lists; did you mean anthropic:claude-haiku-5-5?"),
        ("llama", 'must be "provider:model", such as "heuristic:sma_cross", or a name that prices.toml lists.'),
    ],
)
def test_bare_name_that_does_not_mean_one_model_is_refused_with_what_to_write(
    priced: Path, listed: Instruments, model: str, said: str
) -> None:
    path = named(priced, model)
    with pytest.raises(UsageError) as refused:
        load_agents(priced, listed)
    assert str(refused.value) == f'{path} model "{model}" {said}'


def test_flags_take_a_bare_name_as_the_files_do(priced: Path, listed: Instruments) -> None:
    words = ["claude-haiku-5-5", "breakout"]
    made = agents_of(words, {}, listed, config_dir=priced, pairs=("paper:BTC/USDT",))
    assert [agent.model for agent in made] == ["heuristic:breakout", "anthropic:claude-haiku-5-5"]


def test_names_of_the_heuristics_are_those_that_answer() -> None:
    assert set(HEURISTICS) == set(MODELS)
