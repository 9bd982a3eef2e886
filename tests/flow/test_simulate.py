"""Orders and money before a venue that fails in every way, with the engine killed everywhere: the proof, and its proof.

Every invariant that concerns orders, ledger and safety is asked after every turn; see engine/ops/simulate/checks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from engine.ops.simulate.campaign import Theatre, play_seeds, story_of
from engine.ops.simulate.crashes import REFERENCE, singles
from engine.ops.simulate.mutants import MUTANTS
from engine.ops.simulate.plan import KINDS, draw
from engine.ops.simulate.rig import Protocol
from engine.ops.simulate.run import Outcome

BLOCK = 500
BLOCKS = 10
SEEDS_PER_MUTANT = 1500
FOUND_BEFORE = {
    name: int(seed)
    for name, seed in (
        line.split() for line in Path(__file__).with_name("mutant_seeds.txt").read_text().splitlines() if line[0] != "#"
    )
}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    with Theatre(Protocol()) as made:
        yield made


def failed(outcomes: Iterator[Outcome]) -> list[str]:
    return [
        f"{', '.join(map(str, outcome.schedule.faults))}: {outcome.broken}" for outcome in outcomes if outcome.broken
    ]


EVERY_FAULT = {f"{site.value}: {kind}" for site, kinds in KINDS.items() for kind, *_ in kinds}
INVARIANTS = {"L1", "L2", "L4", "L5", "L6", "L8", "O1", "O2", "O3", "O4", "O5", "O6", "O7", "O8", "S1", "S3", "S5"}


@pytest.mark.fault("P01", "P02", "P03", "P04", "P05", "P06", "P08", "P09", "P12", "P19", "P23", "P24")
@pytest.mark.fault("E01", "E02", "E03", "E06", "E07", "E09", "E10", "E11", "E12", "E13", "E17", "E18", "E19", "E20")
@pytest.mark.fault("E21", "E23", "E25", "E32", "E33", "E34", "E35", "E37", "E38", "E40", "E41", "E42", "E48", "U10")
@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_schedule_breaks_an_invariant_and_together_they_meet_every_fault_and_ask_everything(block: int) -> None:
    played = play_seeds(block * BLOCK, BLOCK, Protocol())
    assert [(schedule.seed, sentence) for schedule, _code, sentence in played.failures] == []
    assert played.schedules == BLOCK
    assert EVERY_FAULT - set(played.struck) == set()
    assert INVARIANTS - set(played.asked) == set()


@pytest.mark.fault("P01", "P02", "P03", "P04", "P05", "P06", "P08", "P10", "P12")
def test_no_crash_of_the_reference_scenario_breaks_an_invariant(theatre: Theatre) -> None:
    assert theatre.play(REFERENCE).broken is None
    every_fourth = islice(singles(theatre.play, REFERENCE), 0, None, 4)  # the soak plays them all
    assert failed(theatre.play(schedule) for schedule in every_fourth) == []


@pytest.mark.parametrize("name", MUTANTS)
def test_a_known_bug_is_found(name: str) -> None:
    protocol, known = MUTANTS[name].protocol, FOUND_BEFORE.get(name, 0)
    found = play_seeds(known, 1, protocol, stop_early=True)
    if not found.failures:
        found = play_seeds(0, SEEDS_PER_MUTANT, protocol, stop_early=True)
    assert found.failures, f"{name} survived {SEEDS_PER_MUTANT} schedules; it breaks: {MUTANTS[name].rule}"
    schedule, _code, sentence = found.failures[0]
    print(f"{name}: killed by seed {schedule.seed}: {sentence}")  # noqa: T201 - for who runs it with -rP


def test_there_are_enough_known_bugs_each_with_the_rule_it_breaks() -> None:
    assert len(MUTANTS) >= 25
    assert [name for name, each in MUTANTS.items() if not each.rule.endswith(").") or "(" not in each.rule] == []


@pytest.mark.parametrize("seed", [0, 7, 133])
def test_a_seed_plays_again_exactly(theatre: Theatre, seed: int) -> None:
    first, second = (theatre.play(draw(seed), tell=True) for _ in range(2))
    assert first.story == second.story
    assert (first.struck, first.visits) == (second.struck, second.visits)


def test_a_failure_is_cut_down_to_a_story_that_still_fails() -> None:
    parts = MUTANTS["retry-on-timeout"].protocol
    (failure,) = play_seeds(0, 200, parts, stop_early=True).failures
    schedule, code, _sentence = failure
    with Theatre(parts) as theatre:
        story = story_of(theatre, schedule, code)
        assert story_of(theatre, schedule, code) == story
    assert code == "O4"
    assert story[0] == "faults that strike:"
    assert sum("create" in line for line in story) <= 4
    assert "is created a second time" in story[-1]
    assert len(story) < len(schedule.acts) + len(schedule.faults)


def test_a_schedule_without_faults_keeps_all_invariants(theatre: Theatre) -> None:
    assert failed(theatre.play(replace(draw(seed), faults=())) for seed in range(100)) == []


def simulate(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "console.cli", "simulate", *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)


def test_the_command_says_what_it_played_and_ends_with_0() -> None:
    done = simulate("--seed", "0", "--schedules", "120", "--workers", "2", "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["ok"], result["schedules"]) == (0, True, 120)
    assert result["crashes"] > 0
    assert result["recoveries"] > 0
    assert result["schedules_per_s"] > 0


def test_the_command_tells_a_single_seed() -> None:
    done = simulate("--seed", "3")
    assert done.returncode == 0, done.stderr
    assert "life 1 begins" in done.stdout
    assert "faults off" in done.stdout


def test_the_command_finds_a_mutant_and_ends_with_1() -> None:
    done = simulate("--seed", "0", "--schedules", "60", "--mutant", "retry-on-timeout")
    assert done.returncode == 1, done.stderr
    assert "is created a second time" in done.stdout
    assert "--mutant retry-on-timeout" in done.stdout


def test_the_command_names_the_mutants_there_are() -> None:
    done = simulate("--mutant", "nonsense")
    assert done.returncode == 2
    assert "retry-on-timeout" in done.stderr
