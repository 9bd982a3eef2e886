"""prices.toml is read strictly; what it does not say, the environment may estimate."""

from decimal import Decimal
from pathlib import Path

import pytest

from engine.config import canonical_json, load_prices, prices_of, write_defaults
from engine.config.canonical import from_canonical
from engine.config.prices import estimates_of
from engine.domain.caps import ShareBudget, caps_of
from engine.domain.policy import Policy
from engine.domain.prices import DAY_MS, ModelPrice
from engine.errors import UsageError
from engine.governance.document import Document, changed, proposed
from engine.governance.environment import overlaid

DATED = "dated = 2026-10-24\n"
DATED_MS = 1_792_800_000_000
LINE = '[models."acme:small"]\ninput = "3"\noutput = "15"\ncached = "0.3"\ncontext = 1000\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "prices.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_starter_file_prices_models_with_tiers_and_says_how_old_it_is(tmp_path: Path) -> None:
    write_defaults(tmp_path)
    prices = prices_of(tmp_path)
    haiku = prices.find("anthropic", "claude-haiku-5-5", DATED_MS)
    assert isinstance(haiku, ModelPrice)
    assert haiku.rates.cost(100_000, 1000, 0) == Decimal("0.0105")
    assert haiku.rates.cost(100_001, 1000, 0) == Decimal("0.0525005")
    assert haiku.rates.worst(1000, 1000) == Decimal("0.003")
    assert prices.warning(DATED_MS + 90 * DAY_MS) == ""
    assert "are 91 days old: look them up" in prices.warning(DATED_MS + 91 * DAY_MS)
    assert "366 days old, too old to spend by" in prices.warning(DATED_MS + 366 * DAY_MS)


def test_prices_of_a_day_still_to_come_are_no_prices(tmp_path: Path) -> None:
    prices = load_prices(written(tmp_path, DATED + LINE))
    said = prices.find("acme", "small", DATED_MS - 2 * DAY_MS)
    assert isinstance(said, str)
    assert "of a day that is still to come: set `dated`" in said
    assert prices.warning(DATED_MS - 2 * DAY_MS)[0] == "T"
    assert isinstance(prices.find("acme", "small", DATED_MS - DAY_MS), ModelPrice)  # the other side of the date line


@pytest.mark.fault("A20", "W01", "W03")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LINE, "dated is missing; add it."),
        ('dated = "soon"\n', "dated must be the day the prices were looked up on, such as 2026-10-24."),
        ("dated = 2026-10-24T10:00:00\n", "dated must be the day the prices were looked up on"),
        (DATED + '[models."small"]\ninput = "3"\n', '[models] "small" must be a provider and a model, such as '),
        (DATED + '[models."a:b"]\ninput = "3"\ncontext = 1\n', '[models."a:b"] output is missing; add it.'),
        (DATED + LINE + "inptu = 3\n", '[models."acme:small"] inptu is not a known key; did you mean input?'),
        (DATED + LINE.replace('"15"', '"-1"'), '[models."acme:small"] output "-1" must be an amount of 0'),
        (DATED + LINE.replace('"15"', "inf"), '[models."acme:small"] output Infinity is not a finite amount'),
        (DATED + LINE.replace('"15"', '"1.1234567"'), "has more than 6 places; round it up."),
        (DATED + LINE + "long_from = 10\n", "long_input is missing; add it, or take long_from out."),
        (DATED + 'warn_after = "90"\n', 'warn_after "90" is not a duration with a unit'),
    ],
)
def test_a_bad_price_file_is_refused_in_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        load_prices(written(tmp_path, text))
    assert message in str(raised.value)


def test_the_seeds_variables_price_what_the_file_does_not(tmp_path: Path) -> None:
    environ = {"OPENAI_ESTIMATED_COST_USD_PER_1K_TOKENS": "0.002", "ACME_ESTIMATED_COST_USD_PER_1K_TOKENS": "1"}
    prices = load_prices(written(tmp_path, DATED + LINE), environ)
    guessed, listed = prices.find("openai", "gpt-4", DATED_MS), prices.find("acme", "small", DATED_MS)
    assert isinstance(guessed, ModelPrice)
    assert isinstance(listed, ModelPrice)
    assert guessed.rates.cost(1000, 1000, 0) == Decimal("0.004")
    assert listed.rates.base.output == 15
    assert isinstance(prices.find("anthropic", "claude-haiku-5-5", DATED_MS), str)


@pytest.mark.parametrize("text", ["0", "nan", "-1", "much"])
def test_an_estimate_that_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="OPENAI_ESTIMATED_COST_USD_PER_1K_TOKENS"):
        estimates_of({"OPENAI_ESTIMATED_COST_USD_PER_1K_TOKENS": text})


SEEDS = (
    "AI_DAILY_COST_BUDGET_USD",
    "AI_DAILY_TOKEN_BUDGET",
    "AI_PROVIDER_DAILY_COST_BUDGET_USD",
)


@pytest.mark.fault("W05", "W06")
def test_the_seeds_budget_variables_may_only_tighten() -> None:
    policy, overlays = overlaid(Policy(), dict(zip(SEEDS, ("4", "600000", "2"), strict=True)))
    assert [(cap.scope, cap.window.value, int(cap.usd), cap.tokens) for cap in caps_of(policy.ai_budget)] == [
        ("", "day", 4, 500_000),
        ("", "month", 100, 10_000_000),
        ("provider", "day", 2, 500_000),
        ("provider", "month", 100, 10_000_000),
    ]
    assert [overlay.applies for overlay in overlays] == [True, False, True]


@pytest.mark.fault("W05")
@pytest.mark.parametrize("name", SEEDS)
def test_a_budget_variable_of_0_is_refused_and_what_to_write_instead_is_said_R20(name: str) -> None:
    with pytest.raises(UsageError, match=rf"{name}=0 allows nothing here.* Unset it to keep the policy's"):
        overlaid(Policy(), {name: "0"})


def test_caps_of_one_agent_are_proposed_and_written_as_the_file_has_them() -> None:
    asked = {"ai_budget.agents": '{dip = {usd_per_day = "1", tokens_per_day = 7}}'}
    (change,) = proposed(Document(Policy()), asked, {})
    policy = changed(Document(Policy()), [change]).policy
    assert policy.ai_budget.agents == {"dip": ShareBudget(usd_per_day=Decimal(1), tokens_per_day=7)}
    assert from_canonical(Policy, canonical_json(policy)) == policy
