"""Decoding: register images of many devices of one make to values with quality.

The arithmetic is compiled (``ext/_decode.pyx``); :mod:`ext.decode_reference` says the
same readably and for one value at a time, and tests hold the two equal to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, chain

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ems.domain.errors import InvalidInputError
from ext.decode_reference import Kind, Slot, ValueSpec, ratio

try:
    from ext._decode import decode_images
except ImportError as error:
    raise ImportError(
        "the compiled kernel ext._decode is missing: build it with `pip install -e .` in the "
        "project's folder (this needs a C compiler, e.g. the package build-essential)"
    ) from error

SLOT = np.dtype(
    [
        (name, np.int32)
        for name in (
            "kind",
            "registers",
            "low_word_first",
            "low_byte_first",
            "block",
            "position",
            "factor_block",
            "factor_position",
            "first_sentinel",
            "end_sentinel",
            "first_code",
            "end_code",
            "has_codes",
            "keep_other_codes",
        )
    ]
    + [(name, np.float64) for name in ("multiplier", "divisor", "offset", "sign", "low", "high")]
)
"""One slot as the kernel sees it."""

_EXACT = 2**53
_WIDTHS = {Kind.FLOAT: (2, 4), Kind.SIGN_MAGNITUDE_10000: (1,), Kind.OPPOSED_INT16: (2,)}


class DecodePlan:
    """Where the values of one make lie in its register image, compiled once.

    Parameters
    ----------
    slots
        The values, in the order in which they are returned.
    block_sizes
        How many registers each block has; the image is all blocks one after another.

    Attributes
    ----------
    slots
        As given.
    blocks, registers
        How many blocks and how many registers an image has.
    starts
        Where in the image each block begins.

    Raises
    ------
    InvalidInputError
        Where a value lies outside its block, or a width does not go with a kind.
    """

    def __init__(self, slots: Sequence[Slot], block_sizes: Sequence[int]) -> None:
        self.slots = tuple(slots)
        self.blocks = len(block_sizes)
        self.starts = tuple(accumulate(block_sizes, initial=0))[:-1]
        self.registers = sum(block_sizes)
        ends = [start + size for start, size in zip(self.starts, block_sizes, strict=True)]
        for slot in self.slots:
            _check_spec(slot.spec)
            self._check_place(slot.block, slot.position, slot.spec.registers, ends)
            if slot.spec.has_factor:
                self._check_place(slot.factor_block, slot.factor_position, 1, ends)
        self._sentinels = np.array(
            _filled(chain.from_iterable(slot.spec.sentinels for slot in self.slots)), np.uint64
        )
        tables = [slot.spec.codes or {} for slot in self.slots]
        self._codes = np.array(_filled(chain.from_iterable(tables)), np.float64)
        self._meanings = np.array(
            _filled(chain.from_iterable(t.values() for t in tables)), np.float64
        )
        self._slots = np.array(list(_records(self.slots)), dtype=SLOT)

    def decode(
        self, images: ArrayLike, answered: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """Decode the images of many devices.

        Parameters
        ----------
        images
            Registers, shape (devices, registers), 0 to 65535; bits are registers of 0 or 1.
            What stands in blocks that were not answered does not matter.
        answered
            Which blocks were answered, shape (devices, blocks).

        Returns
        -------
        tuple[NDArray, NDArray]
            Values in their units and numbers of :class:`ems.domain.readings.Quality`, each
            of shape (devices, slots). Where there is no value it is ``nan``.

        Raises
        ------
        InvalidInputError
            Where shapes do not fit the plan.
        """
        words = np.ascontiguousarray(images, dtype=np.uint16)
        flags = np.ascontiguousarray(answered, dtype=np.uint8)
        if words.ndim != 2 or words.shape[1] != self.registers:
            raise InvalidInputError(
                "images do not fit the plan",
                field="images",
                value=words.shape,
                remedy=f"Give an array of shape (devices, {self.registers}).",
            )
        if flags.shape != (len(words), self.blocks):
            raise InvalidInputError(
                "answers do not fit the images",
                field="answered",
                value=flags.shape,
                remedy=f"Give an array of shape ({len(words)}, {self.blocks}).",
            )
        shape = (len(words), len(self.slots))
        values, quality = np.empty(shape), np.empty(shape, np.int8)
        decode_images(
            self._slots,
            self._sentinels,
            self._codes,
            self._meanings,
            words,
            flags,
            values,
            quality,
        )
        return values, quality

    def _check_place(self, block: int, position: int, registers: int, ends: Sequence[int]) -> None:
        inside = 0 <= block < self.blocks and (
            self.starts[block] <= position <= ends[block] - registers
        )
        if not inside:
            raise InvalidInputError(
                "a value lies outside its block",
                field="slots",
                value=(block, position, registers),
                remedy="Plan blocks that hold every value whole.",
            )


def _check_spec(spec: ValueSpec) -> None:
    if spec.registers not in _WIDTHS.get(spec.kind, (1, 2, 3, 4)):
        raise InvalidInputError(
            f"a value of this kind ({spec.kind.name.lower()}) cannot take so many registers",
            field="registers",
            value=spec.registers,
            remedy="Integers take 1 to 4 registers, floats 2 or 4, opposed pairs 2.",
        )
    if spec.scale == 0:
        raise InvalidInputError(
            "a scale of nought makes every value the same",
            field="scale",
            value=spec.scale,
            remedy="Give what one step of the register is worth.",
        )
    for code in chain.from_iterable((spec.codes or {}).items()):
        if abs(code) > _EXACT:
            raise InvalidInputError(
                "a code is too large",
                field="codes",
                value=code,
                remedy="Codes are whole numbers below 2^53.",
            )


def _filled(numbers: Iterable[int]) -> list[int]:
    """Return a list that is never empty, so that the kernel may point at its begin."""
    return [*numbers, 0]


def _records(slots: Sequence[Slot]) -> Iterable[tuple[float, ...]]:
    sentinel, code = 0, 0
    for slot in slots:
        spec = slot.spec
        sentinels, codes = len(spec.sentinels), len(spec.codes or {})
        multiplier, divisor = ratio(spec.scale)
        yield (
            spec.kind,
            spec.registers,
            not spec.high_word_first,
            not spec.high_byte_first,
            slot.block,
            slot.position,
            slot.factor_block if spec.has_factor else -1,
            slot.factor_position,
            sentinel,
            sentinel + sentinels,
            code,
            code + codes,
            spec.codes is not None,
            spec.keep_other_codes,
            multiplier,
            divisor,
            spec.offset,
            spec.sign,
            spec.low,
            spec.high,
        )
        sentinel, code = sentinel + sentinels, code + codes
