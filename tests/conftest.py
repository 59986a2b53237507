"""How many examples Hypothesis draws, and what no test leaves to the next one.

In the gate Hypothesis draws the same examples every time, so that a change is judged by
itself alone; ``make test-long`` draws new ones and twenty times as many.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

settings.register_profile("gate", max_examples=100, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("gate")


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Give each test the library's own logging, whatever a command configured before."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
