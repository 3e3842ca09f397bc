"""Options of the whole suite: ``--slow`` runs everything, ``--update-golden`` rewrites expected outputs."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# A busy machine is slow, not wrong: no example fails for the time it takes.
settings.register_profile("schemegen", deadline=None)
settings.load_profile("schemegen")

# Every test calculates, in processes that it starts as well, and none writes into the user's cache.
os.environ["SCHEMEGEN_NO_CACHE"] = "1"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the exhaustive tests")
    parser.addoption(
        "--update-golden", action="store_true", help="write expected outputs anew; review the diff"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="needs --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether expected outputs are to be written instead of compared."""
    return bool(request.config.getoption("--update-golden"))
