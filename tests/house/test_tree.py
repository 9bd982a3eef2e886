"""Where things are kept."""

import doctest
import importlib

import pytest

from tests.house.sources import PACKAGES, ROOT, Source, sources


def test_no_test_folder_takes_the_name_of_a_package() -> None:
    # tests/engine/ would be found before engine/, and shadow it
    assert [name for name in PACKAGES if (ROOT / "tests" / name).exists()] == []


@pytest.mark.parametrize(
    "source", [each for each in sources() if ">>> " in each.text], ids=lambda source: source.module
)
def test_the_worked_numbers_of_the_docstrings_are_true(source: Source) -> None:
    done = doctest.testmod(importlib.import_module(source.module))
    assert done.attempted > 0
    assert done.failed == 0
