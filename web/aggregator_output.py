"""What aggregators are told of an event: sums and counts, never a home."""

from __future__ import annotations

from typing import Any

from ems.domain.events import FlexEvent, Settlement
from ems.domain.time import HALF_HOUR
from ems.flex.life import recovered_at

FEWEST_HOMES = 10
"""Half-hourly figures are withheld where fewer take part."""


def withheld_words(homes: int) -> str:
    """Return why half-hourly figures are withheld."""
    return f"half-hourly figures are withheld: {homes} homes take part, fewer than {FEWEST_HOMES}"


def kw(power_w: float | None) -> float | None:
    """Return watts as kilowatts, three decimals."""
    return None if power_w is None else round(power_w / 1000.0, 3)


def dispatch(event: FlexEvent, homes: int, settlement: Settlement | None) -> dict[str, Any]:
    """Return an event as plain JSON values; ``homes`` take part in it."""
    request = event.request
    few = homes < FEWEST_HOMES
    body: dict[str, Any] = {
        "id": event.id,
        "state": str(event.state),
        "block": request.block_id,
        "direction": str(request.direction),
        "power_kw": kw(request.power_w),
        "accepted_kw": kw(event.accepted_w),
        "start": request.start.isoformat(),
        "end": request.end.isoformat(),
        "product": request.product_id or None,
        "reason": event.reason or None,
        "received_at": event.received_at.isoformat(),
        "ended_at": None if event.ended_at is None else event.ended_at.isoformat(),
        "recovered_at": recovered_at(event).isoformat(),
        "participants": {"homes": homes, "battery": event.battery_takes_part},
        "reference": None
        if few
        else [
            {"start": (request.start + HALF_HOUR * index).isoformat(), "kw": kw(power)}
            for index, power in enumerate(event.reference_w)
        ],
        "settlement": None if settlement is None else _settled(settlement, few),
    }
    if few:
        body["withheld"] = withheld_words(homes)
    return body


def _settled(settlement: Settlement, few: bool) -> dict[str, Any]:
    return {
        "measured_at": settlement.measured_at.isoformat(),
        "asked_kwh": round(settlement.asked_kwh, 3),
        "delivered_kwh": round(settlement.delivered_kwh, 3),
        "net_kwh": None if settlement.net_kwh is None else round(settlement.net_kwh, 3),
        "payment_gbp": None if settlement.payment_gbp is None else round(settlement.payment_gbp, 2),
        "baseline": {
            "rule": settlement.baseline_rule,
            "days": settlement.baseline_days,
            "wanted": settlement.baseline_wanted,
        },
        "notes": list(settlement.notes),
        "half_hours": None
        if few
        else [
            {
                "start": slot.start.isoformat(),
                "baseline_kw": kw(slot.baseline_w),
                "actual_kw": kw(slot.actual_w),
                "delivered_kw": kw(slot.delivered_w),
            }
            for slot in settlement.slots
        ],
    }
