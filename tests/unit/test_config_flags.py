"""The flags of run-agent and replay: the same words and bounds as the files."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.config import Instruments, agents_of, flags_to_agent, flags_to_policy, write_defaults
from engine.domain.agent import Schedule
from engine.domain.intent import Autonomy
from engine.domain.policy import Policy
from engine.errors import UsageError


@pytest.fixture(scope="module")
def listed() -> Instruments:
    return Instruments.load()


def test_one_pair_and_nothing_else(listed: Instruments) -> None:
    agent = flags_to_agent({"asset_pair": ("BTC/USDT",)}, listed)
    assert (agent.name, agent.model) == ("sma-cross", "heuristic:sma_cross")
    assert (agent.instruments, agent.timeframe_ms) == (("paper:BTC/USDT",), 300_000)
    assert (agent.autonomy, agent.schedule) == (Autonomy.AUTO, Schedule())


def test_pairs_may_repeat_and_may_be_a_list(listed: Instruments) -> None:
    agent = flags_to_agent({"asset_pair": ("BTCUSD,ETHUSD", "btc/usdt", " SOLUSDT ")}, listed)
    assert agent.instruments == ("paper:BTC/USDT", "paper:ETH/USDT", "paper:SOL/USDT")


def test_every_flag_reaches_its_limit(listed: Instruments) -> None:
    flags: dict[str, Any] = {
        "asset_pair": ("BTCUSD",),
        "model": "heuristic:rsi_reversion",
        "take_profit": "5%",
        "stop_loss": "0.02",
        "analysis_frequency": "300",
        "min_confidence": "0.7",
        "max_daily_trades": "12",
        "max_position": "2500",
        "timeframe": "15m",
        "qty": "0.5",
        "approval_mode": "manual",
        "set": ("rsi_period=7", "oversold=27.5", "strict=true", "label=fast lane"),
    }
    agent = flags_to_agent(flags, listed)
    assert agent.name == "rsi-reversion"
    assert (agent.protection.stop_frac, agent.protection.target_frac) == (Decimal("0.02"), Decimal("0.05"))
    assert agent.schedule == Schedule(every_candle=False, interval_ms=300_000)
    assert (agent.limits.confidence_min, agent.limits.trades_per_day) == (Decimal("0.7"), 12)
    assert (agent.limits.position_notional_max, agent.limits.qty_fixed) == (Decimal(2500), Decimal("0.5"))
    assert (agent.timeframe_ms, agent.autonomy) == (900_000, Autonomy.APPROVE)
    assert agent.model_settings == {"rsi_period": 7, "oversold": 27.5, "strict": True, "label": "fast lane"}


def test_the_account_s_flags_reach_the_policy() -> None:
    flags = {
        "kill_switch_gain": "5%",
        "kill_switch_loss": "2%",
        "max_drawdown": "0.05",
        "max_daily_loss": "1%",
        "max_daily_trades": "7",
        "risk_per_trade": "50bps",
        "cash": "5000",
    }
    policy = flags_to_policy(flags, Policy())
    assert (policy.kill.gain_frac, policy.kill.loss_frac) == (Decimal("0.05"), Decimal("0.02"))
    assert (policy.kill.drawdown_frac, policy.kill.daily_loss_frac) == (Decimal("0.05"), Decimal("0.01"))
    assert (policy.limits.trades_per_day, policy.limits.risk_per_trade_frac) == (7, Decimal("0.005"))
    assert policy.cash == Decimal(5000)


def test_no_flag_changes_nothing(listed: Instruments) -> None:
    base = flags_to_agent({"asset_pair": ("BTCUSD",), "stop_loss": "3%", "set": ("a=1",)}, listed)
    empty = {"asset_pair": (), "set": (), "stop_loss": None, "autonomous": False, "timeframe": None}
    assert flags_to_agent(empty, listed, base=base) == base
    assert flags_to_policy(empty, Policy()) == Policy()


@pytest.mark.parametrize(
    ("flags", "autonomy"),
    [
        ({"autonomous": True}, Autonomy.AUTO),
        ({"observe": True}, Autonomy.OBSERVE),
        ({"approval_mode": "auto"}, Autonomy.AUTO),
        ({"approval_mode": "auto", "autonomous": True}, Autonomy.AUTO),
    ],
)
def test_who_says_yes(listed: Instruments, flags: dict[str, Any], autonomy: Autonomy) -> None:
    assert flags_to_agent(flags, listed, pairs=("paper:BTC/USDT",)).autonomy is autonomy


def test_a_share_as_max_position_bounds_the_part_of_equity(listed: Instruments) -> None:
    limits = flags_to_agent({"max_position": "10%"}, listed, pairs=("paper:BTC/USDT",)).limits
    assert limits.portfolio_share_frac == Decimal("0.1")
    assert limits.position_notional_max == Decimal(10_000)


@pytest.mark.fault("W03", "W04", "W08")
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"stop_loss": "5"}, '--stop-loss 5 can be read as 5% or as 500%; write "5%" or "500%".'),
        ({"take_profit": "-1%"}, "--take-profit -1 is negative; write a share above 0."),
        ({"min_confidence": "85"}, '--min-confidence 85 can be read as 85% or as 8500%; write "85%" or "8500%".'),
        ({"analysis_frequency": "5"}, "--analysis-frequency 5s is out of bounds; write 10s to 7d."),
        (
            {"analysis_frequency": "soon"},
            '--analysis-frequency "soon" is not a duration with a unit; write "90s", "30m", "1h" or "1d".',
        ),
        ({"max_daily_trades": "many"}, '--max-daily-trades "many" is not a whole number; write one such as 10.'),
        (
            {"model": "gpt"},
            '--model "gpt" must be "provider:model", such as "heuristic:sma_cross", or a name that prices.toml lists.',
        ),
        (
            {"model": "sma_cros"},
            '--model "sma_cros" is no model that prices.toml lists; did you mean heuristic:sma_cross?',
        ),
        (
            {"approval_mode": "telegram"},
            (
                "--approval-mode telegram does not exist here; write auto, or manual to approve in the console "
                "or with `quarterdeck approve`."
            ),
        ),
        ({"approval_mode": "later"}, '--approval-mode "later" is not known; write auto or manual.'),
        (
            {"observe": True, "autonomous": True},
            "--autonomous and --observe contradict each other; keep one of them.",
        ),
        ({"set": ("fast",)}, '--set "fast" is not key=value; write one such as "--set fast=10".'),
        ({"set": ("x=nan",)}, "--set x NaN is not a finite number; write one such as 0.5."),
        (
            {"set": ("api_key=abc",)},
            (
                "--set holds what looks like a secret in api_key; take it out, and replace that secret "
                "where it was issued if anyone else could read it."
            ),
        ),
        ({"qty": "0"}, '--qty "0" must be an amount above 0.'),
    ],
)
def test_a_bad_flag_is_refused_in_the_words_of_the_files(
    listed: Instruments, flags: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        flags_to_agent(flags, listed, pairs=("paper:BTC/USDT",))
    assert str(raised.value) == message


def test_nothing_to_trade_is_refused(listed: Instruments) -> None:
    with pytest.raises(UsageError, match=r"^--asset-pair is missing; name what to trade"):
        flags_to_agent({}, listed)


def test_agents_come_from_files_names_and_models(tmp_path: Path, listed: Instruments) -> None:
    write_defaults(tmp_path)
    words = [str(tmp_path / "agents" / "rsi-dip.toml"), "sma-cross", "heuristic:sma_cross"]
    made = agents_of(words, {}, listed, config_dir=tmp_path, pairs=("paper:SOL/USDT",), timeframe_ms=60_000)
    assert [(agent.name, agent.instruments, agent.timeframe_ms) for agent in made] == [
        ("rsi-dip", ("paper:BTC/USDT", "paper:ETH/USDT"), 300_000),
        ("sma-cross", ("paper:BTC/USDT",), 300_000),
        ("sma-cross-2", ("paper:SOL/USDT",), 60_000),
    ]


def test_flags_lie_over_an_agent_file(tmp_path: Path, listed: Instruments) -> None:
    write_defaults(tmp_path)
    (agent,) = agents_of(["sma-cross"], {"stop_loss": "off", "set": ("fast=5",)}, listed, config_dir=tmp_path)
    assert agent.protection.stop_frac is None
    assert agent.model_settings == {"fast": 5, "slow": 50}


def test_a_word_that_is_no_agent_is_refused(tmp_path: Path, listed: Instruments) -> None:
    with pytest.raises(UsageError, match=r"^--agent nobody is neither an agent file"):
        agents_of(["nobody"], {}, listed, config_dir=tmp_path)
