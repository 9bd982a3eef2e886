"""policy.toml, the default files, and the one text of a configuration."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import (
    Instruments,
    canonical_json,
    config_hash,
    from_canonical,
    load_agents,
    load_policy,
    policy_of,
    write_defaults,
)
from engine.domain.caps import caps_of
from engine.domain.killing import KillAction
from engine.domain.policy import AccountLimits, KillLimits, Off, Policy
from engine.errors import UsageError

EXAMPLE = """
account_currency = "USDT"
cash = "25000"
usd_peg = []
[kill_switch]
gain = "15%"
daily_loss = 0.02
action = "halt"
[limits]
open_positions = 0
gross_exposure = "150%"
risk_per_trade = "0%"
price_age = "2m"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_keys_given_are_read_and_the_rest_take_their_defaults(tmp_path: Path) -> None:
    assert load_policy(written(tmp_path, EXAMPLE)) == Policy(
        account_currency="USDT",
        cash=Decimal(25_000),
        usd_peg=(),
        kill=KillLimits(gain_frac=Decimal("0.15"), daily_loss_frac=Decimal("0.02"), action=KillAction.HALT),
        limits=AccountLimits(
            open_positions=0,
            gross_exposure_frac=Decimal("1.5"),
            risk_per_trade_frac=Decimal(0),
            price_age_ms=120_000,
        ),
    )


def test_no_file_is_the_documented_policy(tmp_path: Path) -> None:
    assert policy_of(tmp_path) == Policy()
    assert load_policy(written(tmp_path, "")) == Policy()


@pytest.mark.fault("W03", "W04", "W05")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[kill_switch]\ndaily_profits = "10%"',
            "[kill_switch] daily_profits is not a known key; did you mean daily_profit?",
        ),
        (
            '[kill_switch.thresholds]\nloss_warm = "2%"',
            "[kill_switch] thresholds loss_warm is not a known key; did you mean loss_warn?",
        ),
        (
            '[kill_switch]\naction = "halt"\n[kill_switch.thresholds]\nloss_halt = "4.5%"',
            '[kill_switch]: thresholds loss_halt has no meaning beside action = "halt": its limit halts; take it out.',
        ),
        (
            '[kill_switch.thresholds]\nloss_warn = "5%"',
            "[kill_switch]: kill_switch loss: warn begins at 5%, above reduce at 4%; put them in order.",
        ),
        (
            "[kill_switch]\ndaily_loss = 3",
            '[kill_switch] daily_loss 3 can be read as 3% or as 300%; write "3%" or "300%".',
        ),
        ("[kill_switch]\nloss = -0.1", "[kill_switch] loss -0.1 is negative; write a share above 0."),
        ('[kill_switch]\nloss = "200%"', "[kill_switch] loss 200% is above 100%; write less."),
        ('[kill_switch]\naction = "pray"', '[kill_switch] action "pray" is not known; write halt or halt_and_flatten.'),
        (
            "[kill_switch]\nloss = inf",
            '[kill_switch] loss \'Infinity\' is not a number; write it as "5%", "500bps" or 0.05.',
        ),
        ("[limits]\nmax_dayly_loss = 3", "[limits] max_dayly_loss is not a known key; did you mean daily_loss?"),
        ("[limits]\nopen_positions = -1", "[limits] open_positions -1 is out of bounds; write 0 to 1000."),
        ("[limits]\nprice_age = 90", '[limits] price_age 90 is not a duration with a unit; write "90s" or "90m".'),
        ("[ai_budget]\nusd_per_day = nan", "[ai_budget] usd_per_day NaN is not a finite amount; write one such as "),
        (
            "[ai_budget.each_agent]\nusd_per_dya = 1",
            "[ai_budget.each_agent] usd_per_dya is not a known key; did you mean usd_per_day?",
        ),
        (
            "[ai_budget.agents.dip]\nusd_per_day = -1",
            "[ai_budget.agents.dip] usd_per_day -1 must be an amount of 0 (none allowed) or more.",
        ),
        ("[ai_budget]\nproviders = 4", "[ai_budget] providers must hold tables such as [ai_budget.providers.NAME]."),
        ("[paper]\nvolume_share = 0", "[paper] volume_share 0 is not a share between 0 and 1; "),
        ("cash = -1", "cash -1 must be an amount of 0 (none allowed) or more."),
        ('cash = "lots"', 'cash "lots" is not a finite amount; write one such as "10000".'),
        ("limits = 4", "[limits] must be a table of keys, not a number."),
        ("[paper]\nsecret = 1", "holds what looks like a secret in paper.secret; take it out, "),
    ],
)
def test_a_bad_policy_is_refused_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as raised:
        load_policy(path)
    assert str(raised.value).startswith(f"{path} {message}")
    assert raised.value.exit_code == 2


def test_a_provider_or_agent_may_have_caps_of_its_own_and_shares_those_of_all_else(tmp_path: Path) -> None:
    text = '[ai_budget.each_agent]\nusd_per_day = "1"\n[ai_budget.agents.dip]\ntokens_per_month = 7\n'
    caps = caps_of(load_policy(written(tmp_path, text)).ai_budget)
    assert [(cap.scope, cap.window.value, int(cap.usd), cap.tokens) for cap in caps] == [
        ("", "day", 5, 500_000),
        ("", "month", 100, 10_000_000),
        ("agent", "day", 1, 500_000),
        ("agent", "month", 100, 10_000_000),
        ("agent:dip", "day", 1, 500_000),
        ("agent:dip", "month", 100, 7),
    ]


def test_init_writes_files_that_say_what_the_defaults_are(tmp_path: Path) -> None:
    home = tmp_path / "config"
    paths = write_defaults(home)
    assert [path.relative_to(home).as_posix() for path in paths] == [
        "agents/rsi-dip.toml",
        "agents/sma-cross.toml",
        "instruments.toml",
        "policy.toml",
        "prices.toml",
        "providers.toml",
    ]
    assert policy_of(home) == Policy()
    listed = Instruments.load(home)
    assert [agent.name for agent in load_agents(home, listed)] == ["rsi-dip", "sma-cross"]
    assert list(listed) == list(Instruments.load())
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_each_line_of_the_default_policy_says_what_it_means(tmp_path: Path) -> None:
    write_defaults(tmp_path)
    lines = (tmp_path / "policy.toml").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if " = " in line and "#" not in line] == []


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("# mine\n", encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        write_defaults(tmp_path)
    assert str(raised.value) == (f"{tmp_path / 'policy.toml'} exists already; move it away first, nothing was written.")
    assert [path.name for path in tmp_path.iterdir()] == ["policy.toml"]


def test_the_canonical_text_has_sorted_keys_and_plain_decimals() -> None:
    text = canonical_json(Policy())
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert json.loads(text)["limits"]["risk_per_trade_frac"] == "0.01"
    assert json.loads(text)["kill"]["action"] == "halt_and_flatten"


@given(st.decimals(min_value=0, max_value=10**9, allow_nan=False, places=4))
def test_equal_configurations_have_one_hash_and_others_another(cash: Decimal) -> None:
    policy = Policy(cash=cash)
    assert config_hash(policy) == config_hash(replace(policy, cash=cash + Decimal("0.00000")))
    assert config_hash(policy) != config_hash(replace(policy, cash=cash + Decimal("0.0001")))


# What the third seed's three examples say: gain, loss, drawdown, trades a day, risk, confidence.
@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("conservative", ("0.02", "0.01", "0.03", 10, "0.005", "0.8")),
        ("balanced", ("0.05", "0.02", "0.05", 50, "0.01", "0.6")),
        ("aggressive", ("0.15", "0.05", "0.1", 100, "0.02", "0.5")),
    ],
)
def test_a_preset_has_the_figures_of_its_example(name: str, figures: tuple[object, ...]) -> None:
    policy = load_policy(Path(name))
    kill, limits = policy.kill, policy.limits
    assert (
        *(str(each.normalize()) for each in (kill.gain_frac, kill.loss_frac, kill.drawdown_frac)),
        limits.trades_per_day,
        *(str(each.normalize()) for each in (limits.risk_per_trade_frac, limits.confidence_min)),
    ) == figures


def test_init_writes_the_preset_that_was_named(tmp_path: Path) -> None:
    write_defaults(tmp_path, "aggressive")
    assert policy_of(tmp_path) == load_policy(Path("aggressive")) != Policy()


def test_a_preset_that_is_none_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    for wrong in (lambda: load_policy(Path("agressive")), lambda: write_defaults(tmp_path, "agressive")):
        with pytest.raises(UsageError) as raised:
            wrong()
        assert str(raised.value) == "There is no preset agressive; did you mean aggressive?"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault("W05")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[limits]\nrisk_per_trade = "6%"',
            "[limits] risk_per_trade 6% is more than [kill_switch] loss 5%: one trade at its stop would stop trading; ",
        ),
        (
            '[limits]\nrisk_per_trade = "2%"\ndaily_loss = "1%"',
            "[limits] risk_per_trade 2% is more than [limits] daily_loss 1%: one trade at its stop would ",
        ),
        (
            '[kill_switch]\nloss = "2%"\ndaily_loss = "3%"',
            "[kill_switch] daily_loss 3% is more than [kill_switch] loss 2%, which always acts first; lower the first",
        ),
        (
            '[limits]\ngroup_share = "80%"\ngross_exposure = "50%"',
            "[limits] group_share 80% is more than [limits] gross_exposure 50%, which always acts first; ",
        ),
        (
            '[limits]\ngross_exposure = "200%"\nleverage = 1.5',
            "[limits] gross_exposure 200% is more than [limits] leverage 150%, which always acts first; ",
        ),
        (
            "[limits]\nvolatility_index = 40",
            "[limits] volatility_index needs volatility_index_file, a CSV with DATE and CLOSE; name it, or ",
        ),
        (
            '[limits]\nspread = "0.01%"',
            "[limits] spread 0.01% is less than twice [paper] half_spread 0.02%: nothing could trade; ",
        ),
        ('[limits]\nvalue_at_risk_confidence = "99.9%"', "[limits] value_at_risk_confidence 99.9% is out of bounds; "),
        ("[limits]\nvalue_at_risk = 0", "[limits] value_at_risk 0 is not a share between 0 and 1; "),
        ('[limits]\ndaily_profit = "of"', "[limits] daily_profit 'of' is not a number; "),
        ("[limits]\nleverage = 11", "[limits] leverage 11 is above 10; write less."),
        ('[limits]\nautonomy = "full"', '[limits] autonomy "full" is not known; write observe, approve or auto.'),
        ("[limits]\nvolatilty = 1", "[limits] volatilty is not a known key; did you mean volatility?"),
    ],
)
def test_limits_that_contradict_each_other_or_are_out_of_bounds_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as raised:
        load_policy(path)
    assert str(raised.value).startswith(f"{path} {message}")


def test_a_default_that_never_acts_beside_a_tighter_limit_does_no_harm(tmp_path: Path) -> None:
    policy = load_policy(written(tmp_path, '[kill_switch]\nloss = "2%"\n[limits]\ngross_exposure = "50%"'))
    assert policy.limits.net_exposure_frac > policy.limits.gross_exposure_frac


def test_only_the_word_off_switches_a_limit_off(tmp_path: Path) -> None:
    policy = load_policy(written(tmp_path, '[limits]\nvalue_at_risk = "5%"\nvolatility = "off"'))
    assert (policy.limits.value_at_risk_frac, policy.limits.volatility_frac) == (Decimal("0.05"), Off.OFF)
    assert from_canonical(Policy, canonical_json(policy)) == policy
