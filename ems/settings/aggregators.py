"""Who may send demand-response events: the `aggregators` section and its checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from ems.domain.estate import Aggregator
from ems.settings.nodes import Node
from ems.settings.quantities import By, Identifier, Label, refuse

_HASH = re.compile(r"sha256:[0-9a-f]{64}")


def _token_hash(value: Any) -> str:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        remedy = "Make a token and its hash with `ems events token`; never write the token here."
        raise refuse("this is not the hash of a token", remedy)
    return value


TokenHash = Annotated[str, By(_token_hash)]


class AggregatorSection(BaseModel):
    """One aggregator."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False)

    name: Label = Field(description="What people call it.")
    token_hash: TokenHash | None = Field(
        None, description="Hash of its token, as `ems events token` prints it."
    )
    blocks: list[Identifier] = Field(description="Blocks that it may dispatch.")


def aggregators_of(sections: Mapping[str, AggregatorSection]) -> dict[str, Aggregator]:
    """Return the aggregators that the sections describe, by id."""
    return {
        name: Aggregator(name, section.name, section.token_hash or "", tuple(section.blocks))
        for name, section in sections.items()
    }


def check_aggregators(root: Node) -> None:
    """Check that blocks exist, that tokens are there, and that no two are the same."""
    known = {block["id"].text() for block in root["blocks"].items()}
    listed = ", ".join(sorted(name for name in known if name))
    demonstration = root["estate"]["demonstration"].truth() is True
    seen: dict[str, str] = {}
    for name, aggregator in root["aggregators"].entries():
        if name == "operator":
            aggregator.refuse("this id stands for the operator", "Choose another.", show=False)
        blocks = aggregator["blocks"]
        if blocks.value == []:
            blocks.refuse("the aggregator has no block", f"Name some of: {listed}.")
        for block in blocks.items():
            if block.text() is not None and block.text() not in known:
                block.refuse("there is no such block", f"Blocks are: {listed}.")
        token = aggregator["token_hash"]
        if not token.exists and not demonstration:
            remedy = "Make one with `ems events token`; only a demonstration issues its own."
            token.refuse("the aggregator has no token", remedy)
        text = token.text()
        if text is not None and text in seen:
            token.refuse(f"{seen[text]} has the same token", "Give each its own.", show=False)
        elif text is not None:
            seen[text] = name
