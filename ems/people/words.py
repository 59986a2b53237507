"""What flags and estimates say: to tenants in plain words, to operators in short ones."""

from __future__ import annotations

from ems.domain.people import ColdHomeEvidence, Flag, FlagState, Source, Verdict

VERDICTS = {
    Verdict.SEVERE: "Never warm",
    Verdict.COLD: "Cold",
    Verdict.NOT_ENOUGH_DATA: "Not enough data",
    Verdict.WARM: "Warm enough",
    Verdict.OUT_OF_SEASON: "Outside the season",
}
STATES = {
    FlagState.RAISED: "Raised",
    FlagState.REVIEWED: "Reviewed",
    FlagState.CONFIRMED: "Confirmed",
    FlagState.DISMISSED: "Dismissed",
    FlagState.CLOSED: "Closed",
}
SOURCES = {
    Source.WISH: "asked for on the home's page",
    Source.SCHEDULE: "the resident's schedule",
    Source.DIAL: "set at the heat pump itself",
}


def count(value: float) -> str:
    """Return a count without a needless decimal."""
    return f"{value:.1f}".removesuffix(".0")


def hours(value_h: float) -> str:
    """Return a count of hours as people say it."""
    shown = count(value_h)
    return f"{shown} hour{'' if shown == '1' else 's'}"


def percent(share: float) -> str:
    """Return a share as whole per cent; never rounded up to all or down to nothing."""
    if 0 < share < 0.01:
        return "under 1 %"
    if 0.99 < share < 1:
        return "over 99 %"
    return f"{share * 100:.0f} %"


def measured_words(evidence: ColdHomeEvidence) -> str:
    """Return how much of the day-time a living room was measured, as part of a sentence."""
    if evidence.measured_h == 0:
        return "its sensor gave no readings by day"
    return f"its sensor gave readings for {percent(evidence.coverage)} of the day-time"


def for_operator(flag: Flag, threshold_c: float) -> str:
    """Return what was found, in one sentence, for staff."""
    evidence = flag.evidence
    if flag.verdict is Verdict.NOT_ENOUGH_DATA:
        return (
            f"Not enough data on the living room: {measured_words(evidence)}. "
            "Nobody can say whether it was warm."
        )
    never = f" It never reached {threshold_c:g} °C." if flag.verdict is Verdict.SEVERE else ""
    return (
        f"Below {threshold_c:g} °C for {count(evidence.below_h)} of "
        f"{hours(evidence.measured_h)} measured by day in a week.{never} {_why(evidence)}"
    )


def _why(evidence: ColdHomeEvidence) -> str:
    if evidence.chosen:
        told = " and ".join(_choice_words(evidence, source) for source in evidence.chosen)
        return f"The resident chose this: {told}."
    wanted = [c.asked_c for c in evidence.choices if c.asked_c is not None]
    if not wanted:
        return "What the resident asked for is not known."
    return (
        f"Not chosen: {min(wanted):.1f} °C or more was asked for in these hours. "
        "The heating may not keep up."
    )


def _choice_words(evidence: ColdHomeEvidence, source: Source) -> str:
    asked = next((c.asked_c for c in evidence.choices if c.source is source), None)
    return f"{'a lower temperature' if asked is None else f'{asked:.1f} °C'} {SOURCES[source]}"


def for_tenant(flag: Flag, threshold_c: float, day_h: tuple[int, int]) -> list[str]:
    """Return what the tenant reads, in sentences: what was seen, whether it was chosen."""
    evidence = flag.evidence
    span = f"between {day_h[0]:02d}:00 and {day_h[1]:02d}:00"
    if flag.verdict is Verdict.NOT_ENOUGH_DATA:
        return [
            "We could not see how warm your living room was this week: "
            f"{measured_words(evidence)}.",
            "So we do not know whether your home is warm enough, and we do not guess.",
        ]
    sentences = [
        f"In one week your living room was colder than {threshold_c:g} °C for "
        f"{hours(evidence.below_h)} {span}."
    ]
    if flag.verdict is Verdict.SEVERE:
        sentences.append(f"It did not reach {threshold_c:g} °C at any time.")
    if evidence.chosen:
        told = " and ".join(_own_choice(evidence, source) for source in evidence.chosen)
        sentences.append(
            f"It looks as if you chose this: {told}. That is yours to decide. "
            "We only want to be sure that cost is not the reason."
        )
    else:
        sentences.append(
            "It does not look as if you chose this. Your heating may not be working as it should."
        )
    return sentences


def _own_choice(evidence: ColdHomeEvidence, source: Source) -> str:
    asked = next((c.asked_c for c in evidence.choices if c.source is source), None)
    words = "a lower temperature" if asked is None else f"{asked:.1f} °C"
    where = {
        Source.WISH: "you asked for {} on these pages",
        Source.SCHEDULE: "your schedule asks for {}",
        Source.DIAL: "your heat pump was set to {} in your home",
    }
    return where[source].format(words)


def what_next(state: FlagState) -> str:
    """Return what happens next, for the tenant."""
    return {
        FlagState.RAISED: "A person of your landlord's energy team will look at this. "
        "Nothing happens by itself.",
        FlagState.REVIEWED: "A person has looked at this and will ask you before anything is "
        "decided.",
        FlagState.CONFIRMED: "The team agrees that something should be done and will be in "
        "touch with you.",
        FlagState.DISMISSED: "The team looked and decided that nothing needs doing. If you see "
        "it differently, tell us below.",
        FlagState.CLOSED: "This is finished.",
    }[state]
