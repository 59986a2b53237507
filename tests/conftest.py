"""How many examples Hypothesis draws.

In the gate the same ones every time, so that a change is judged by itself alone;
``make test-long`` draws new ones and twenty times as many.
"""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("gate", max_examples=100, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("gate")
