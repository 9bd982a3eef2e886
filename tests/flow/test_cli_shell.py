"""The command line as a shell meets it: one sentence on stderr, an exit code, and a start that costs little."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.flow.cli_kit import CLI, ROOT, cli, started

# a shell that starts tests in the background has them, and all that they start, ignore SIGINT
HEEDING = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"


def test_version_is_the_package_s() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    done = started(ROOT, "--version")
    assert (done.returncode, done.stdout) == (0, f"quarterdeck {declared}\n")


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "console", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stdout.startswith("quarterdeck ")


def test_a_start_loads_click_and_nothing_else_of_weight() -> None:
    code = (
        "import sys, json\n"
        "from console.cli import run\n"
        "run(['--help'])\n"
        "print('\\n' + json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    heavy = {"engine", "screens", "textual", "rich", "asyncio", "ccxt", "numpy", "talib", "pydantic", "aiohttp"}
    assert loaded & heavy == set()


def test_help_names_every_command_of_the_contract() -> None:
    done = cli(ROOT, "--help")
    listed = {line.split()[0] for line in done.stdout.partition("Commands:")[2].splitlines() if line[:3].strip()}
    assert listed >= {
        *("demo", "init", "run-agent", "replay", "verify", "status", "halt", "resume", "cancel-all", "flatten"),
        *("approvals", "approve", "reject", "agents", "decisions", "orders", "fills", "positions", "explain"),
        *("export", "data", "drill", "doctor"),
    }


@pytest.mark.parametrize(
    "name",
    ["demo", "init", "run-agent", "replay", "verify", "status", "halt", "export", "explain", "doctor", "fills"],
)
def test_each_command_has_help(name: str) -> None:
    done = cli(ROOT, name, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: quarterdeck {name} ")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["replya"], "There is no command 'replya'; did you mean replay? See `quarterdeck --help`."),
        (["xyzzy"], "There is no command 'xyzzy'; see `quarterdeck --help`."),
        (["resume"], "Missing option '--reason'. See `quarterdeck resume --help`."),
        (["replay"], "Missing argument 'FILE...'. See `quarterdeck replay --help`."),
        (
            ["replay", "none.csv"],
            "Invalid value for 'FILE...': File 'none.csv' does not exist. See `quarterdeck replay --help`.",
        ),
        (["fills", "--limit", "0"], "Invalid value for '--limit': 0 is not in the range 1<=x<=1000000."),
        (["run-agent"], '--asset-pair is missing; name what to trade, such as "--asset-pair BTC/USDT".'),
        (
            ["run-agent", "--asset-pair", "BTCUSD", "--stop-loss", "5"],
            '--stop-loss 5 can be read as 5% or as 500%; write "5%" or "500%".',
        ),
        (
            ["run-agent", "--asset-pair", "BTCUSDX"],
            "--asset-pair BTCUSDX is not in the list of instruments; did you mean paper:BTC/USDT or paper:LTC/USDT?",
        ),
        (
            ["run-agent", "--asset-pair", "BTCUSD", "--approval-mode", "redis"],
            "--approval-mode redis does not exist here; write auto, or manual to approve in the console",
        ),
        ([], "The console needs a terminal; `quarterdeck status`, `halt`, `flatten` and `approve` work without one."),
        (["demo"], "The console needs a terminal"),
        (
            ["run-agent", "--asset-pair", "BTC/USDT", "--take-profit", "5%", "--stop-loss", "2%"],
            "The console needs a terminal",
        ),
        (
            ["data", "import", "pyproject.toml", "--instrument", "BTCUSD", "--name", "../x"],
            "--name '../x' cannot name a recording; use letters, digits, dots and hyphens.",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_is_one_sentence_and_exit_2(tmp_path: Path, args: list[str], sentence: str) -> None:
    done = cli(tmp_path, *args)
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("args", [["replya"], [], ["fills", "--json"]], ids=" ".join)
def test_a_process_prints_and_ends_as_the_command_does(tmp_path: Path, args: list[str]) -> None:
    there, here = started(tmp_path, *args), cli(tmp_path, *args)
    assert (there.returncode, there.stdout, there.stderr) == (here.returncode, here.stdout, here.stderr)


@pytest.mark.fault("W01", "W03")
def test_a_bad_file_of_the_trader_s_is_exit_2(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "policy.toml").write_text("[limits]\nmax_dayly_loss = 3\n", encoding="utf-8")
    done = cli(tmp_path, "run-agent", "--asset-pair", "BTCUSD")
    assert done.returncode == 2
    assert "[limits] max_dayly_loss is not a known key" in done.stderr


def test_init_writes_files_once(tmp_path: Path) -> None:
    done = cli(tmp_path, "init")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in (tmp_path / "config").rglob("*.toml")) == [
        "instruments.toml",
        "policy.toml",
        "prices.toml",
        "providers.toml",
        "rsi-dip.toml",
        "sma-cross.toml",
    ]
    again = cli(tmp_path, "init")
    assert again.returncode == 2
    assert again.stderr.endswith("exists already; move it away first, nothing was written.\n")
    assert "Traceback" in started(tmp_path, "init", "--debug").stderr


BROKEN = "from console import cli\ncli.COMMANDS['broken'] = ('not_there:x', '')\ncli.main()"


def test_a_fault_of_the_program_s_is_one_sentence_unless_debug() -> None:
    run = [sys.executable, "-c", BROKEN]
    done = subprocess.run([*run, "broken"], cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Unexpected failure, ModuleNotFoundError: No module named 'console.commands.not_there'; "
        "run it again with --debug to see where.\n"
    )
    debug = [*run, "--debug", "broken"]
    traced = subprocess.run(debug, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert "Traceback" in traced.stderr


@pytest.mark.fault("P15")
def test_an_interrupt_is_one_sentence_and_exit_130(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    pipe = tmp_path / "config" / "instruments.toml"
    os.mkfifo(pipe)
    env = {**os.environ, "QUARTERDECK_HOME": str(tmp_path)}
    command = [sys.executable, "-c", HEEDING, *CLI, "run-agent", "--asset-pair", "BTCUSD"]
    child = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
    with pipe.open("wb"):  # opens once the command has opened it to read, so it is inside by now
        child.send_signal(signal.SIGINT)
        _out, said = child.communicate(timeout=50)
    assert said.strip() == "Interrupted; nothing was sent or closed by that."
    assert child.returncode == 130


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    env = {**os.environ, "QUARTERDECK_HOME": str(tmp_path)}
    done = subprocess.run(
        [*CLI, "doctor", "--json"], cwd=ROOT, env=env, stdout=writer, stderr=subprocess.PIPE, timeout=50, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_doctor_says_what_is_here_in_json_and_in_words(tmp_path: Path) -> None:
    rows = json.loads(cli(tmp_path, "doctor", "--json").stdout)
    assert {"Python", "textual", "ccxt", "TA-Lib", "store", "disk"} <= {row["check"] for row in rows}
    assert {frozenset(row) for row in rows} == {frozenset({"check", "state", "found", "advice"})}
    assert all(row["advice"] for row in rows if row["state"] != "ok")
    assert cli(tmp_path, "doctor").stdout.splitlines()[0].split() == ["check", "state", "found", "advice"]
