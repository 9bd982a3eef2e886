"""How long our functions and files are. `python -m tests.house.lengths` prints it; test_lengths.py holds it."""

from dataclasses import dataclass
from statistics import median, quantiles

from tests.house.sources import sources

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
FILE_LINES_USUAL = 350
FILES_WITHIN_USUAL_FRAC = 0.9


@dataclass(frozen=True, kw_only=True)
class Length:
    """A function or a file, and how many lines it takes; a function's decorators do not count."""

    where: str
    lines: int


def function_lengths() -> list[Length]:
    return [
        Length(
            where=f"{source.name}:{node.lineno} {node.name}", lines=(node.end_lineno or node.lineno) - node.lineno + 1
        )
        for source in sources()
        for node in source.functions()
    ]


def file_lengths() -> list[Length]:
    return [Length(where=source.name, lines=source.lines) for source in sources()]


def _row(what: str, lengths: list[Length]) -> str:
    lines = [length.lines for length in lengths]
    tenths = quantiles(lines, n=10, method="inclusive") if len(lines) > 1 else lines * 9
    longest = max(lengths, key=lambda length: length.lines)
    usual = f"median {median(lines):g} lines, 90 % within {tenths[8]:.0f}"
    return f"{what}: {len(lines)}, {usual}, longest {longest.lines} ({longest.where})"


def report() -> str:
    """Return two lines a person can read: functions, files."""
    functions, files = function_lengths(), file_lengths()
    rows = [_row("functions", functions)] if functions else []
    return "\n".join([*rows, _row("files", files)])


if __name__ == "__main__":
    print(report())
