"""The decoding kernel against figures worked out by hand and against its readable twin."""

from __future__ import annotations

import math
import subprocess
import sys
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ems.domain.errors import InvalidInputError
from ems.domain.readings import Quality
from ext.decode import DecodePlan
from ext.decode_reference import Kind, Slot, ValueSpec, decode_images

NAN = math.nan
GOOD, SENTINEL, RANGE = Quality.GOOD, Quality.SENTINEL, Quality.OUT_OF_RANGE


def one(spec: ValueSpec, words: list[int], factor: int | None = None) -> tuple[float, Quality]:
    """Decode one value with the kernel; its scale factor lies behind it."""
    image = words if factor is None else [*words, factor]
    slot = Slot(spec, 0, 0, 0 if spec.has_factor else -1, len(words))
    values, quality = DecodePlan([slot], [len(image)]).decode([image], [[True]])
    return float(values[0, 0]), Quality(quality[0, 0])


@pytest.mark.parametrize(
    ("spec", "words", "expected"),
    [
        (ValueSpec(Kind.SIGNED, scale=0.1), [215], (21.5, GOOD)),
        (ValueSpec(Kind.SIGNED, scale=0.1), [0xFFFF], (-0.1, GOOD)),
        (ValueSpec(Kind.UNSIGNED), [0xFFFF], (65535.0, GOOD)),
        (ValueSpec(Kind.UNSIGNED, 2), [1, 2], (65538.0, GOOD)),
        (ValueSpec(Kind.UNSIGNED, 2, high_word_first=False), [1, 2], (131073.0, GOOD)),
        (ValueSpec(Kind.UNSIGNED, high_byte_first=False), [0x1234], (0x3412, GOOD)),
        (ValueSpec(Kind.SIGNED, 4), [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE], (-2.0, GOOD)),
        (ValueSpec(Kind.UNSIGNED, 4), [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE], (2.0**64, GOOD)),
        # 3.14159274..., by hand: 40490FDB; and 4009 21FB 5444 2D18 in 64 bits.
        (ValueSpec(Kind.FLOAT, 2), [0x4049, 0x0FDB], (3.1415927410125732, GOOD)),
        (ValueSpec(Kind.FLOAT, 4), [0x4009, 0x21FB, 0x5444, 0x2D18], (math.pi, GOOD)),
        (ValueSpec(Kind.FLOAT, 2, high_byte_first=False), [0x4940, 0xDB0F],
         (3.1415927410125732, GOOD)),
        (ValueSpec(Kind.SIGN_MAGNITUDE_10000), [10250], (-250.0, GOOD)),
        (ValueSpec(Kind.SIGN_MAGNITUDE_10000), [9999], (9999.0, GOOD)),
        (ValueSpec(Kind.OPPOSED_INT16, 2), [0xFF06, 250], (250.0, GOOD)),
        (ValueSpec(Kind.OPPOSED_INT16, 2), [250, 0xFF06], (-250.0, GOOD)),
        (ValueSpec(Kind.OPPOSED_INT16, 2), [250, 250], (NAN, SENTINEL)),
        (ValueSpec(Kind.SIGNED, sign=-1), [0], (0.0, GOOD)),
        (ValueSpec(Kind.SIGNED, scale=10, offset=5, sign=-1), [3], (-35.0, GOOD)),
        (ValueSpec(Kind.SIGNED, sentinels=(0x7FFF, 0x8000)), [0x8000], (NAN, SENTINEL)),
        (ValueSpec(Kind.FLOAT, 2), [0x7FC0, 0], (NAN, SENTINEL)),
        (ValueSpec(Kind.FLOAT, 2), [0x7F80, 0], (NAN, RANGE)),
        (ValueSpec(Kind.SIGNED, low=0, high=50), [51], (51.0, RANGE)),
        (ValueSpec(Kind.UNSIGNED, codes={7: 2, 2: 2}), [7], (2.0, GOOD)),
        (ValueSpec(Kind.UNSIGNED, codes={7: 2, 2: 2}), [3], (NAN, RANGE)),
        (ValueSpec(Kind.UNSIGNED, codes={8000: 0}, keep_other_codes=True), [52], (52.0, GOOD)),
        (ValueSpec(Kind.UNSIGNED, codes={}), [1], (NAN, RANGE)),
    ],
)  # fmt: skip
def test_hand_computed(spec, words, expected):
    value, quality = one(spec, words)
    assert quality is expected[1]
    assert value == expected[0] or (math.isnan(value) and math.isnan(expected[0]))
    assert not (value == 0 and math.copysign(1, value) < 0)


@pytest.mark.parametrize(
    ("factor", "expected"),
    [
        (0xFFFE, (1.23, GOOD)),
        (2, (12300.0, GOOD)),
        (0x8000, (NAN, SENTINEL)),
        (11, (NAN, RANGE)),
        (0xFFF5, (NAN, RANGE)),
    ],
)
def test_scale_factor_registers(factor, expected):
    value, quality = one(ValueSpec(Kind.SIGNED, has_factor=True), [123], factor)
    assert (repr(value), quality) == (repr(expected[0]), expected[1])


SPECIAL = [0, 1, 9999, 10000, 0x7FFF, 0x8000, 0xFFFF, 0x7FC0, 0x7F80, 0xFF80, 0x7FF0, 0x7FF8]
WIDTHS = {Kind.FLOAT: (2, 4), Kind.SIGN_MAGNITUDE_10000: (1,), Kind.OPPOSED_INT16: (2,)}
words = st.one_of(st.sampled_from(SPECIAL), st.integers(0, 0xFFFF))


@st.composite
def specs(draw):
    kind = draw(st.sampled_from(list(Kind)))
    registers = draw(st.sampled_from(WIDTHS.get(kind, (1, 2, 4))))
    low, high = sorted((draw(st.floats(-1e4, 1e4)), draw(st.floats(-1e4, 1e4))))
    wide = draw(st.booleans())
    code = st.integers(-10, 40)
    return ValueSpec(
        kind,
        registers,
        high_word_first=draw(st.booleans()),
        high_byte_first=draw(st.booleans()),
        scale=draw(st.sampled_from([1.0, 0.1, 0.01, 0.001, 0.5, 10.0, 2.5, 1 / 3, -0.1, 0.017])),
        offset=draw(st.sampled_from([0.0, -40.0, 0.5])),
        sign=draw(st.sampled_from([1, -1])),
        has_factor=draw(st.booleans()),
        sentinels=tuple(draw(st.lists(st.sampled_from([*SPECIAL, 2**31, 2**64 - 1]), max_size=3))),
        codes=draw(st.none() | st.dictionaries(code, code, max_size=6)),
        keep_other_codes=draw(st.booleans()),
        low=-math.inf if wide else low,
        high=math.inf if wide else high,
    )  # fmt: skip


@st.composite
def layouts(draw):
    """Slots in up to three blocks, and images of some devices, partly answered."""
    sizes = draw(st.lists(st.integers(4, 12), min_size=1, max_size=3))
    starts = list(accumulate(sizes, initial=0))
    slots = []
    for spec in draw(st.lists(specs(), max_size=8)):
        block, factor_block = (draw(st.integers(0, len(sizes) - 1)) for _ in range(2))
        position = starts[block] + draw(st.integers(0, sizes[block] - spec.registers))
        factor_position = starts[factor_block] + draw(st.integers(0, sizes[factor_block] - 1))
        if spec.has_factor:
            slots.append(Slot(spec, block, position, factor_block, factor_position))
        else:
            slots.append(Slot(spec, block, position))
    devices = draw(st.integers(0, 4))
    image = st.lists(words, min_size=starts[-1], max_size=starts[-1])
    answers = st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes))
    images = draw(st.lists(image, min_size=devices, max_size=devices))
    answered = draw(st.lists(answers, min_size=devices, max_size=devices))
    if devices and slots and slots[0].spec.kind is Kind.OPPOSED_INT16:
        first = slots[0].position
        images[0][first + 1] = -images[0][first] & 0xFFFF
    if devices and slots and slots[0].spec.has_factor:
        images[0][slots[0].factor_position] = draw(st.integers(-12, 12)) & 0xFFFF
    return slots, sizes, images, answered


@given(layouts())
def test_kernel_equals_its_readable_twin(layout):
    slots, sizes, images, answered = layout
    shape = (len(images), sum(sizes))
    values, quality = DecodePlan(slots, sizes).decode(
        np.array(images, np.uint16).reshape(shape),
        np.array(answered, bool).reshape(len(images), len(sizes)),
    )
    assert values.shape == quality.shape == (len(images), len(slots))
    for row, marks, twins in zip(
        values, quality, decode_images(slots, images, answered), strict=True
    ):
        for value, mark, (expected, expected_mark) in zip(row, marks, twins, strict=True):
            assert mark == expected_mark
            assert np.float64(value).tobytes() == np.float64(expected).tobytes() or (
                math.isnan(value) and math.isnan(expected)
            )
            assert mark != GOOD or math.isfinite(value)


def test_every_register_of_sixteen_bits_and_every_kind():
    """All 65,536 contents at once: nothing between the sampled ones is odd."""
    everything = np.arange(0x10000, dtype=np.uint16)[:, None]
    for kind in (Kind.UNSIGNED, Kind.SIGNED, Kind.SIGN_MAGNITUDE_10000):
        slot = Slot(ValueSpec(kind, scale=0.1, sentinels=(0x8000,), low=-900, high=900), 0, 0)
        images = everything.tolist()
        values, quality = DecodePlan([slot], [1]).decode(everything, np.ones_like(everything))
        twins = decode_images([slot], images, [[True]] * len(images))
        np.testing.assert_array_equal(values[:, 0], [row[0][0] for row in twins])
        np.testing.assert_array_equal(quality[:, 0], [row[0][1] for row in twins])


def test_blocks_without_answer_give_no_value_whatever_stands_there():
    factored = ValueSpec(Kind.SIGNED, has_factor=True)
    plan = DecodePlan(
        [Slot(ValueSpec(Kind.SIGNED), 0, 0), Slot(factored, 0, 1, 1, 2)], block_sizes=[2, 1]
    )
    values, quality = plan.decode([[7, 8, 1]] * 3, [[1, 1], [1, 0], [0, 1]])
    np.testing.assert_array_equal(values, [[7, 80], [7, NAN], [NAN, NAN]])
    np.testing.assert_array_equal(quality, [[0, 0], [0, 4], [4, 4]])


def test_read_only_and_strided_images_are_taken():
    plan = DecodePlan([Slot(ValueSpec(Kind.UNSIGNED), 0, 1)], [2])
    images = np.arange(8, dtype=np.uint16).reshape(2, 4)[:, ::2]
    images.flags.writeable = False
    np.testing.assert_array_equal(plan.decode(images, [[True], [True]])[0], [[2], [6]])


@pytest.mark.parametrize(
    ("slot", "sizes", "field"),
    [
        (Slot(ValueSpec(Kind.SIGNED, 2), 0, 1), [2], "slots"),
        (Slot(ValueSpec(Kind.SIGNED), 1, 1), [2, 2], "slots"),
        (Slot(ValueSpec(Kind.SIGNED), 2, 0), [2], "slots"),
        (Slot(ValueSpec(Kind.SIGNED, has_factor=True), 0, 0), [2], "slots"),
        (Slot(ValueSpec(Kind.FLOAT), 0, 0), [2], "registers"),
        (Slot(ValueSpec(Kind.SIGNED, scale=0), 0, 0), [2], "scale"),
        (Slot(ValueSpec(Kind.SIGNED, codes={2**60: 1}), 0, 0), [2], "codes"),
    ],
)
def test_a_plan_that_would_read_beside_its_blocks_is_refused(slot, sizes, field):
    with pytest.raises(InvalidInputError, match=field):
        DecodePlan([slot], sizes)


def test_images_of_another_shape_are_refused():
    plan = DecodePlan([Slot(ValueSpec(Kind.SIGNED), 0, 0)], [2])
    for images, answered in (([[1]], [[1]]), ([1, 2], [[1]]), ([[1, 2]], [[1], [1]])):
        with pytest.raises(InvalidInputError):
            plan.decode(images, answered)


def test_without_the_compiled_kernel_the_remedy_is_named():
    code = "import sys; sys.modules['ext._decode'] = None; import ext.decode"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode != 0
    assert "pip install -e ." in ran.stderr
