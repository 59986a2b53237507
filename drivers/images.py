"""Replies of many devices to values, a make at a time, by the compiled kernel. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drivers.blocks import BlockPlan
from drivers.codec import Decoded
from drivers.transport import Reply
from ems.domain.readings import Quality

Values = dict[str, Decoded]
"""Value and quality by point; a point that gave no value is absent."""

_QUALITIES = tuple(Quality)
_NO_ANSWER = int(Quality.NO_ANSWER)


@dataclass(frozen=True, slots=True, eq=False)
class Fetched:
    """What a device answered to the reads of a plan.

    Attributes
    ----------
    plan
        The reads.
    replies
        Registers or bits of each block; ``None`` where it gave none. Blocks that were not
        asked for any more are missing at the end.
    fault
        The reply that stopped the reading; ``None`` where nothing did.
    """

    plan: BlockPlan | None
    replies: Sequence[tuple[int, ...] | None] = ()
    fault: Reply | None = None


def decode(fetched: Sequence[Fetched]) -> list[Values]:
    """Return the values of each device, in the order given.

    Devices that share a plan are decoded in one go.
    """
    result: list[Values] = [{} for _ in fetched]
    alike: dict[int, list[int]] = {}
    for index, one in enumerate(fetched):
        if one.plan is not None and one.plan.slots and any(one.replies):
            alike.setdefault(id(one.plan), []).append(index)
    for indices in alike.values():
        plan = fetched[indices[0]].plan
        if plan is None:
            continue
        images, answered = _images(plan, [fetched[index].replies for index in indices])
        values, quality = plan.decoding.decode(images, answered)
        names = [slot.point for slot in plan.slots]
        for index, numbers, marks in zip(indices, values.tolist(), quality.tolist(), strict=True):
            result[index] = {
                name: (number, _QUALITIES[mark])
                for name, number, mark in zip(names, numbers, marks, strict=True)
                if mark != _NO_ANSWER
            }
    return result


def _images(
    plan: BlockPlan, replies: Sequence[Sequence[tuple[int, ...] | None]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return register images and which blocks were answered."""
    count = len(plan.blocks)
    if count == 1:
        return np.array([blocks[0] for blocks in replies], np.uint16), np.ones((len(replies), 1))
    images, answered = [], []
    for blocks in replies:
        image: list[int] = []
        given = [*blocks, *[None] * (count - len(blocks))]
        for block, reply in zip(plan.blocks, given, strict=True):
            image.extend(reply if reply is not None else (0,) * block.count)
        images.append(image)
        answered.append([reply is not None for reply in given])
    return np.array(images, np.uint16), np.array(answered)
