"""Block plans: which registers to read together. Pure.

A block never cuts through a value, never exceeds the device's limit and crosses unused
addresses only where the profile allows. What a device refuses with "illegal address" is
learnt: the block is split, and a value that is refused alone is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import NamedTuple

from drivers.codec import PointCodec
from ems.domain.holes import Span
from ems.domain.profiles import DeviceProfile, Space
from ext.decode import DecodePlan
from ext.decode_reference import Slot as ImageSlot

MAX_BIT_BLOCK = 2000
"""Modbus allows this many coils or discrete inputs in one read."""


Atom = Span
"""Addresses that must be read in one request: one value, one scale factor."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a device taught by refusing reads.

    Attributes
    ----------
    splits
        Atoms before which a block must end.
    absent
        Atoms that the device does not have.
    """

    splits: frozenset[Atom] = frozenset()
    absent: frozenset[Atom] = frozenset()


@dataclass(frozen=True, slots=True)
class Block:
    """One read request and the atoms it serves, in order of address."""

    unit_id: int | None
    space: Space
    address: int
    count: int
    atoms: tuple[Atom, ...]


class Place(NamedTuple):
    """Where an atom's registers are in the replies: block and offset."""

    block: int
    offset: int
    width: int


@dataclass(frozen=True, slots=True)
class Slot:
    """How one point is decoded from the replies of a plan."""

    point: str
    codec: PointCodec
    value: Place
    scale_factor: Place | None


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """The reads that give some points of a device.

    Attributes
    ----------
    blocks
        Requests, in order.
    slots
        One for each point that can be read.
    absent
        Points that the device refused.
    decoding
        The same, compiled: an image is the replies to all blocks one after another.
    """

    blocks: tuple[Block, ...]
    slots: tuple[Slot, ...]
    absent: tuple[str, ...]
    decoding: DecodePlan = field(compare=False, repr=False)


def plan(
    profile: DeviceProfile,
    codecs: Mapping[str, PointCodec],
    names: Collection[str],
    knowledge: Knowledge | None = None,
) -> BlockPlan:
    """Plan the reads for the points ``names`` of one device."""
    known = knowledge or Knowledge()
    atoms: set[Atom] = set()
    wanted: list[tuple[str, Atom, Atom | None]] = []
    absent: list[str] = []
    for name in names:
        point = profile.points[name]
        if point.write_only:
            absent.append(name)
            continue
        value = Atom(point.unit_id, point.space, point.address, point.data_type.registers)
        factor = None
        if point.scale_factor_address is not None:
            factor = Atom(point.unit_id, point.space, point.scale_factor_address, 1)
        needed = {value, factor} - {None}
        if needed & known.absent:
            absent.append(name)
            continue
        wanted.append((name, value, factor))
        atoms |= {value} if factor is None else {value, factor}
    blocks = tuple(_blocks(atoms, profile.max_block, profile.bridge_gaps, known.splits))
    places = {
        atom: Place(index, atom.address - block.address, atom.width)
        for index, block in enumerate(blocks)
        for atom in block.atoms
    }
    slots = tuple(
        Slot(name, codecs[name], places[value], None if factor is None else places[factor])
        for name, value, factor in wanted
    )
    return BlockPlan(blocks, slots, tuple(absent), _compiled(blocks, slots))


def identity_blocks(profile: DeviceProfile) -> tuple[Block, ...]:
    """Plan the reads of the registers that identify a device; gaps are not crossed."""
    atoms = {
        Atom(None, space, address, 1)
        for space, addresses in (profile.identified_by or {}).items()
        for address in addresses
    }
    return tuple(_blocks(atoms, profile.max_block, False, frozenset()))


def learn(knowledge: Knowledge, refused: Block) -> Knowledge:
    """Return what is known after a device refused a block as an illegal address.

    The block is split at its widest gap, else in the middle; a single atom is absent.
    """
    atoms = refused.atoms
    if len(atoms) == 1:
        return Knowledge(knowledge.splits, knowledge.absent | {atoms[0]})
    gaps = [after.address - before.address - before.width for before, after in pairwise(atoms)]
    widest = max(gaps)
    cut = gaps.index(widest) + 1 if widest > 0 else len(atoms) // 2
    return Knowledge(knowledge.splits | {atoms[cut]}, knowledge.absent)


def _compiled(blocks: Sequence[Block], slots: Sequence[Slot]) -> DecodePlan:
    sizes = [block.count for block in blocks]
    starts = list(accumulate(sizes, initial=0))
    compiled = []
    for slot in slots:
        value, factor = slot.value, slot.scale_factor
        position = starts[value.block] + value.offset
        if factor is None:
            compiled.append(ImageSlot(slot.codec.spec, value.block, position))
        else:
            factor_position = starts[factor.block] + factor.offset
            compiled.append(
                ImageSlot(slot.codec.spec, value.block, position, factor.block, factor_position)
            )
    return DecodePlan(compiled, sizes)


def _blocks(
    atoms: Iterable[Atom], max_block: int, bridge_gaps: bool, splits: frozenset[Atom]
) -> Iterable[Block]:
    run: list[Atom] = []
    for atom in sorted(atoms, key=lambda atom: (atom.unit_id or 0, atom.space, atom.address)):
        if run and not _joins(run, atom, max_block, bridge_gaps, splits):
            yield _block(run)
            run = []
        run.append(atom)
    if run:
        yield _block(run)


def _joins(
    run: Sequence[Atom], atom: Atom, max_block: int, bridge_gaps: bool, splits: frozenset[Atom]
) -> bool:
    first = run[0]
    end = max(before.address + before.width for before in run)
    if (atom.unit_id, atom.space) != (first.unit_id, first.space) or atom in splits:
        return False
    limit = max_block if atom.space in (Space.HOLDING, Space.INPUT) else MAX_BIT_BLOCK
    fits = max(end, atom.address + atom.width) - first.address <= limit
    return fits and (atom.address <= end or bridge_gaps)


def _block(run: Sequence[Atom]) -> Block:
    first = run[0]
    end = max(atom.address + atom.width for atom in run)
    return Block(first.unit_id, first.space, first.address, end - first.address, tuple(run))
