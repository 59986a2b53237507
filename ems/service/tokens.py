"""Aggregators' tokens: made, hashed, recognised. Only hashes are kept."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime

from ems.domain.errors import InvalidInputError
from ems.domain.estate import Aggregator, Estate
from ems.domain.ports import Store

PREFIX = "hearth_"


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """Hash of the token that a demonstration issued to an aggregator without one."""

    aggregator_id: str
    token_hash: str


def new_token() -> str:
    """Return a fresh random token of 256 bits."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """Return a token's hash as the configuration holds it.

    Tokens are random and long, so that a plain hash cannot be turned back by guessing.
    """
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


def issue(estate: Estate, store: Store, aggregator_id: str, now: datetime) -> str:
    """Give an aggregator of a demonstration a fresh token and return it; earlier ones end.

    Raises
    ------
    InvalidInputError
        Where there is no such aggregator, or its hash stands in the configuration.
    """
    aggregator = estate.aggregators.get(aggregator_id)
    if aggregator is None:
        listed = ", ".join(sorted(estate.aggregators)) or "none"
        raise InvalidInputError(
            "there is no such aggregator",
            field="aggregator",
            value=aggregator_id,
            remedy=f"Aggregators of the configuration: {listed}.",
        )
    if aggregator.token_hash or not estate.demonstration:
        raise InvalidInputError(
            "this aggregator's token is set in the configuration",
            field="aggregator",
            value=aggregator_id,
            remedy="Make a token with `ems events token` and write its hash there.",
        )
    token = new_token()
    record = IssuedToken(aggregator_id, hash_token(token))
    store.keep(record, key=aggregator_id, subject=aggregator_id, at=now)
    return token


def bearer(estate: Estate, store: Store, token: str) -> Aggregator | None:
    """Return whose token this is, ``None`` where it is nobody's."""
    given = hash_token(token)
    found = None
    for aggregator in estate.aggregators.values():
        known = aggregator.token_hash
        if not known and estate.demonstration:
            kept = store.kept(IssuedToken, aggregator.id)
            known = "" if kept is None else kept.record.token_hash
        if known and hmac.compare_digest(known, given):
            found = aggregator
    return found
