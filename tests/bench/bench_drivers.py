"""Polling 3,000 meters behind 30 gateways by one process, and decoding what they say.

One run: rounds in health, then a twentieth of the meters falls mute (fifteen behind each of
ten gateways) and one gateway goes. Lateness is counted from the moment a round is due to
the moment a meter is asked, noted by the meters; the round in which the mutes are found
counts like any other.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from harness import Row, median_ms

from ext.decode import DecodePlan
from ext.decode_reference import Kind, Slot, ValueSpec, decode_images

AREA = "drivers"
HERE = Path(__file__).resolve().parent
PERIOD_S = 10.0
WELL, SICK = 8, 10
"""Rounds in health, the first of which does not count, and rounds with faults."""


def rows() -> Iterator[Row]:
    """Measure the decoding kernel, then polling in health and with faults."""
    yield _decoding()
    polled, field = _run()
    asked = np.array([[times[: WELL + SICK] for times in gateway] for gateway in _filled(field)])
    late_ms = (asked - np.array(polled["due"])) * 1000.0
    there_ms = (np.array(polled["there"]) - np.array(polled["due"])) * 1000.0
    cpu_pct = np.diff(polled["cpu_s"]) / PERIOD_S * 100.0
    well, sick = slice(1, WELL), slice(WELL, WELL + SICK)
    mute = np.array(field["mute"])
    beside = mute.any(axis=1)
    apart = ~beside
    apart[-1] = False
    for name, rounds in (("in health", well), ("5 % mute, a gateway gone", sick)):
        share = float(np.mean(cpu_pct[rounds]))
        yield Row(AREA, f"3,000 meters every 10 s, {name}: processor", share, "% of core", below=10)
    quantiles = {
        (where, when, share): float(np.nanpercentile(values, share))
        for where, when, values in (
            ("all", "well", late_ms[:, :, well]),
            ("apart", "well", late_ms[apart][:, :, well]),
            ("apart", "sick", late_ms[apart][:, :, sick]),
            ("beside", "sick", late_ms[beside][~mute[beside]][:, sick]),
        )
        for share in (50, 99)
    }
    yield Row(AREA, "lateness in health, p50", quantiles["all", "well", 50], "ms")
    yield Row(AREA, "lateness in health, p99", quantiles["all", "well", 99], "ms", below=1000)
    before = quantiles["apart", "well", 99]
    yield Row(
        AREA,
        "lateness with faults, p99, gateways without any",
        quantiles["apart", "sick", 99],
        "ms",
        below=max(1.1 * before, before + 50.0),
        peer="the same in health",
        peer_value=before,
    )
    yield Row(
        AREA,
        "lateness with faults, p99, neighbours of fifteen mutes",
        quantiles["beside", "sick", 99],
        "ms",
        below=2000,
    )
    yield Row(AREA, "readings there after, longest, in health", float(there_ms[well].max()), "ms")
    yield Row(AREA, "readings there after, longest, with faults", float(there_ms[sick].max()), "ms")
    yield Row(AREA, "memory in use at the end", float(polled["rss_mb"][-1]), "MB")
    grown = polled["rss_mb"][-1] / polled["rss_mb"][2] * 100.0 - 100.0
    yield Row(AREA, "memory, growth since the third round", float(grown), "%", below=5)
    lost = int(np.isnan(late_ms[apart]).sum())
    yield Row(AREA, "rounds missed by meters on sound gateways", float(lost), "", below=1)
    good = min(polled["good"][well]) / 30000.0 * 100.0
    yield Row(AREA, "good values in health", good, "%", above=99.99)


def _filled(field: dict[str, Any]) -> list[list[list[float]]]:
    """Return the moments of each meter, ``nan`` for rounds in which it was not asked."""
    missing = [np.nan] * (WELL + SICK)
    return [[(times + missing)[: WELL + SICK] for times in gateway] for gateway in field["asked"]]


def _run() -> tuple[dict[str, Any], dict[str, Any]]:
    """Run field and poller in processes of their own; return what each noted."""
    field = subprocess.Popen(
        [sys.executable, HERE / "driver_field.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    poller: subprocess.Popen[str] | None = None
    try:
        ports = _said(field)
        poller = subprocess.Popen(
            [sys.executable, HERE / "driver_poll.py", json.dumps(ports), str(WELL + SICK)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        _said(poller)
        time.sleep((WELL - 0.4) * PERIOD_S)
        _ask(field, "break")
        polled = _said(poller)
        return polled, _ask(field, "tell")
    finally:
        for process in (field, poller):
            if process is not None:
                process.kill()
                process.wait()


def _said(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def _ask(process: subprocess.Popen[str], order: str) -> Any:
    assert process.stdin is not None
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()
    return _said(process)


def _decoding() -> Row:
    """Decode 3,000 images of ten values of all kinds, beside the readable twin."""
    slots = [
        *(Slot(ValueSpec(Kind.SIGNED, scale=0.1, sentinels=(0x8000,)), 0, n) for n in range(3)),
        *(Slot(ValueSpec(Kind.FLOAT, 2, low=-1e9, high=1e9), 0, 3 + 2 * n) for n in range(3)),
        Slot(ValueSpec(Kind.UNSIGNED, 2, high_word_first=False, scale=0.001), 0, 9),
        Slot(ValueSpec(Kind.UNSIGNED, codes={0: 0, 1: 1, 2: 2, 3: 2}), 0, 11),
        Slot(ValueSpec(Kind.SIGNED, has_factor=True), 0, 12, 0, 13),
        Slot(ValueSpec(Kind.UNSIGNED, 4), 0, 14),
    ]
    plan = DecodePlan(slots, [18])
    images = np.random.default_rng(3).integers(0, 4, (3000, 18)).astype(np.uint16)
    answered = np.ones((3000, 1), np.uint8)
    registers, answers = images.tolist(), answered.tolist()
    kernel_ms = median_ms(lambda: plan.decode(images, answered))
    twin_ms = median_ms(lambda: decode_images(slots, registers, answers), repeats=3, warm_up=1)
    return Row(
        AREA,
        "decoding 30,000 values: times faster than the readable twin",
        twin_ms / kernel_ms,
        "times",
        above=50,
        peer=f"kernel {kernel_ms:.3g} ms, twin",
        peer_value=twin_ms,
    )
