"""Values and registers: there and back, and what is no value."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.codec import PointCodec, codecs, register_image, write_message
from ems.domain.errors import InvalidInputError
from ems.domain.profiles import DataType, PointMap, Space
from ems.domain.readings import Quality

WIDE = 1e19


def _codec(data_type, *, high_word_first=True, low=-WIDE, high=WIDE, **fields):
    return PointCodec(
        PointMap("p", Space.HOLDING, 0, data_type, **fields), low, high, high_word_first
    )


INTEGERS = {
    DataType.INT16: (-(2**15), 2**15 - 1),
    DataType.UINT16: (0, 2**16 - 1),
    DataType.INT32: (-(2**31), 2**31 - 1),
    DataType.UINT32: (0, 2**32 - 1),
    DataType.INT64: (-(2**53), 2**53),
    DataType.UINT64: (0, 2**53),
    DataType.SIGN_MAGNITUDE_10000: (-55535, 9999),
}


@pytest.mark.parametrize("high_word_first", [True, False])
@pytest.mark.parametrize("data_type", INTEGERS)
@given(data=st.data())
def test_whole_numbers_come_back(data_type, high_word_first, data):
    number = data.draw(st.integers(*INTEGERS[data_type]))
    codec = _codec(data_type, high_word_first=high_word_first)
    registers = codec.encode(float(number))
    assert len(registers) == data_type.registers
    assert all(0 <= register <= 0xFFFF for register in registers)
    assert codec.decode(registers) == (number, Quality.GOOD)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.booleans())
def test_floats_come_back(value, high_word_first):
    codec = _codec(DataType.FLOAT32, high_word_first=high_word_first, low=-4e38, high=4e38)
    assert codec.decode(codec.encode(value)) == (value, Quality.GOOD)


@given(
    st.integers(-30000, 30000),
    st.sampled_from([1.0, 0.1, 0.01, 0.5, 10.0, 100.0]),
    st.sampled_from([1, -1]),
    st.integers(-3, 3),
)
def test_scaled_values_come_back(raw, scale, sign, exponent):
    codec = _codec(DataType.INT16, scale=scale, sign=sign, scale_factor_address=1)
    value, quality = codec.decode([raw & 0xFFFF], exponent & 0xFFFF)
    assert quality is Quality.GOOD
    assert codec.encode(value, exponent) == [raw & 0xFFFF]
    assert value == pytest.approx(sign * raw * scale * 10.0**exponent, rel=1e-12)


@given(st.lists(st.integers(0, 0xFFFF), min_size=4, max_size=4), st.sampled_from(list(DataType)))
def test_any_registers_decode_to_something_honest(registers, data_type):
    codec = _codec(data_type, low=-50.0, high=50.0, sentinels=(0x8000,), offset=0.5)
    words = registers[: data_type.registers]
    value, quality = codec.decode([words[0] & 1] if data_type is DataType.BOOL else words)
    if quality is Quality.GOOD:
        assert -50.0 <= value <= 50.0
    elif quality is Quality.SENTINEL:
        assert math.isnan(value)


def test_tenths_are_exact_and_zero_has_no_sign():
    assert _codec(DataType.INT16, scale=0.1).decode([215]) == (21.5, Quality.GOOD)
    value, _ = _codec(DataType.INT16, sign=-1).decode([0])
    assert math.copysign(1.0, value) == 1.0


def test_the_second_register_is_the_low_word_unless_the_profile_says_otherwise():
    assert _codec(DataType.UINT32).decode([1, 2])[0] == 65538
    assert _codec(DataType.UINT32, high_word_first=False).decode([1, 2])[0] == 131073
    # pi, by hand: 4049 0FDB
    assert _codec(DataType.FLOAT32).decode([0x4049, 0x0FDB])[0] == pytest.approx(math.pi, abs=1e-6)


def test_not_available_is_marked_and_has_no_value():
    for codec, registers in (
        (_codec(DataType.INT16, sentinels=(0x8000,)), [0x8000]),
        (_codec(DataType.UINT32, sentinels=(0xFFFFFFFF,)), [0xFFFF, 0xFFFF]),
        (_codec(DataType.FLOAT32), [0x7FC0, 0]),
    ):
        value, quality = codec.decode(registers)
        assert math.isnan(value)
        assert quality is Quality.SENTINEL
        assert codec.encode(math.nan) == registers


def test_infinity_and_absurd_scale_factors_are_out_of_range():
    assert _codec(DataType.FLOAT32).decode([0x7F80, 0])[1] is Quality.OUT_OF_RANGE
    scaled = _codec(DataType.INT16, scale_factor_address=1)
    assert scaled.decode([1], 11)[1] is Quality.OUT_OF_RANGE
    assert scaled.decode([1], None)[1] is Quality.SENTINEL


def test_what_registers_cannot_hold_is_refused():
    for codec, value in (
        (_codec(DataType.UINT16), -1.0),
        (_codec(DataType.INT16), 32768.0),
        (_codec(DataType.INT16, sentinels=(0x8000,)), -32768.0),
        (_codec(DataType.FLOAT32), 1e39),
        (_codec(DataType.INT16), math.nan),
        (_codec(DataType.BOOL), 2.0),
        (_codec(DataType.SIGN_MAGNITUDE_10000), 10000.0),
    ):
        with pytest.raises(InvalidInputError, match="p:"):
            codec.encode(value)


def test_of_two_codes_with_one_meaning_the_first_is_written(profiles):
    mode = codecs(profiles["mitsubishi_ecodan_a1m"])["operating_state"]
    assert mode.decode([7]) == mode.decode([2]) == (2.0, Quality.GOOD)
    assert mode.encode(2.0) == [2]
    with pytest.raises(InvalidInputError, match="no code for this state"):
        mode.encode(3.0)


def test_a_code_that_would_read_back_as_another_is_not_written(profiles):
    fault = codecs(profiles["mitsubishi_ecodan_a1m"])["fault"]
    assert fault.encode(5201.0) == [5201]
    assert fault.encode(0.0) == [8000]
    with pytest.raises(InvalidInputError):
        fault.encode(8000.0)


def test_points_of_a_group_are_one_message_and_others_are_not(profiles):
    sofar = profiles["sofar_hyd_g3"]
    message = write_message(sofar, {"remote_timeout_action": 1, "remote_timeout_s": 120})
    assert (message.address, message.values) == (4484, (120, 1))
    with pytest.raises(InvalidInputError, match="not written together"):
        write_message(sofar, {"battery_mode": 3, "remote_timeout_s": 120})


def test_an_image_decodes_to_the_values_it_was_made_of(profiles):
    values = {"power_w": -8760.0, "frequency_hz": 49.98, "energy_generated_kwh": 12345.678}
    profile = profiles["sunspec_inverter"]
    table = register_image(profile, values)[Space.HOLDING]
    for name, codec in codecs(profile).items():
        if name in values:
            point = codec.point
            words = [table[point.address + i] for i in range(point.data_type.registers)]
            assert codec.decode(words, table[point.scale_factor_address])[0] == values[name]
    assert table[40000] == 0x5375
    assert 40108 not in table
