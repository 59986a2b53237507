"""Periods, margins and prices that an estate's control keeps to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ControlRules:
    """Periods and margins of the control process, estate seconds.

    See ``docs/configuration.md`` for what each does.
    """

    poll_fast_s: float = 10.0
    poll_normal_s: float = 60.0
    poll_slow_s: float = 300.0
    dispatch_s: float = 60.0
    plan_s: float = 1800.0
    plan_horizon_s: float = 86400.0
    plan_max_age_s: float = 7200.0
    command_life_s: float = 300.0
    command_spread_s: float = 600.0
    guard_after_s: float = 180.0
    guard_period_s: float = 30.0
    preheat_max_k: float = 2.0
    discomfort_gbp_per_kh: float = 0.25
    dry_run: bool = False
    event_return_s: float = 1200.0
    recovery_ratio: float = 1.1
    event_least_kw: float = 2.0
    event_least_share: float = 0.75
    event_confidence: float = 0.95
    raw_retention_days: float = 14.0
    peak_p_per_kw_day: float = 10.0
    peak_gbp_per_kw_month: float = 0.0
    carbon_gbp_per_t: float = 0.0
    ahead_credit_pct: float = 25.0
    fairness_strength: float = 1.0
    fairness_vulnerable_share: float = 0.5
    event_tenants_pct: float = 50.0
    event_payment_rule: str = "equal"
    away_c: float = 14.0
    warmest_c: float = 25.0
    touch_hold_s: float = 14400.0
    gentle_tests: bool = False
