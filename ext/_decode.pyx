# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Decoding kernel: register images of many devices, without the interpreter's lock.

Called through :mod:`ext.decode`, which validates and documents; the readable twin is
:mod:`ext.decode_reference`. No operation is contracted or reordered (see ``setup.py``),
so that both agree to the bit.
"""

from libc.math cimport NAN, isfinite, isinf, isnan, rint
from libc.stdint cimport int16_t, int32_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    UNSIGNED = 0
    SIGNED = 1
    FLOAT = 2
    SIGN_MAGNITUDE_10000 = 3
    OPPOSED_INT16 = 4

cdef enum:
    GOOD = 0
    SENTINEL = 2
    OUT_OF_RANGE = 3
    NO_ANSWER = 4

cdef enum:
    NO_SCALE_FACTOR = 0x8000

# The same fields in the same order as SLOT in ext/decode.py.
cdef packed struct Slot:
    int32_t kind
    int32_t registers
    int32_t low_word_first
    int32_t low_byte_first
    int32_t block
    int32_t position
    int32_t factor_block
    int32_t factor_position
    int32_t first_sentinel
    int32_t end_sentinel
    int32_t first_code
    int32_t end_code
    int32_t has_codes
    int32_t keep_other_codes
    double multiplier
    double divisor
    double offset
    double sign
    double low
    double high

cdef double[11] POWERS = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10]


cdef inline uint64_t _whole(const Slot* slot, const uint16_t* registers) noexcept nogil:
    """The unsigned whole of a value's registers."""
    cdef uint64_t raw = 0
    cdef uint16_t word
    cdef int i
    for i in range(slot.registers):
        word = registers[slot.registers - 1 - i if slot.low_word_first else i]
        if slot.low_byte_first:
            word = <uint16_t>((word << 8) | (word >> 8))
        raw = (raw << 16) | word
    return raw


cdef inline double _number(const Slot* slot, uint64_t raw) noexcept nogil:
    """The number that a raw whole stands for, nan where it stands for none."""
    cdef uint32_t half
    cdef float narrow
    cdef double wide
    cdef int unused = 64 - 16 * slot.registers
    if slot.kind == SIGNED:
        # Shifting up and down again copies the sign bit.
        return <double>((<long long>(raw << unused)) >> unused)
    if slot.kind == FLOAT:
        if slot.registers == 2:
            half = <uint32_t>raw
            memcpy(&narrow, &half, 4)
            return <double>narrow
        memcpy(&wide, &raw, 8)
        return wide
    if slot.kind == SIGN_MAGNITUDE_10000 and raw >= 10000:
        return <double>(10000 - <long long>raw)
    if slot.kind == OPPOSED_INT16:
        if ((raw >> 16) + raw) & 0xFFFF:
            return NAN
        return <double>(<int16_t>(raw & 0xFFFF))
    return <double>raw


cdef inline signed char _decode(
    const Slot* slot,
    const uint16_t* image,
    const unsigned char* answered,
    const uint64_t* sentinels,
    const double* codes,
    const double* meanings,
    double* result,
) noexcept nogil:
    """Decode one slot into ``result``; return its quality."""
    cdef uint64_t raw
    cdef double number, value, code
    cdef int exponent = 0
    cdef int i
    result[0] = NAN
    if not answered[slot.block]:
        return NO_ANSWER
    if slot.factor_block >= 0 and not answered[slot.factor_block]:
        return NO_ANSWER
    raw = _whole(slot, image + slot.position)
    for i in range(slot.first_sentinel, slot.end_sentinel):
        if raw == sentinels[i]:
            return SENTINEL
    number = _number(slot, raw)
    if isnan(number):
        return SENTINEL
    if slot.factor_block >= 0:
        exponent = image[slot.factor_position]
        if exponent == NO_SCALE_FACTOR:
            return SENTINEL
        if exponent > 0x7FFF:
            exponent -= 0x10000
    if isinf(number) or exponent > 10 or exponent < -10:
        return OUT_OF_RANGE
    value = number * slot.multiplier / slot.divisor
    if exponent < 0:
        value = value / POWERS[-exponent]
    else:
        value = value * POWERS[exponent]
    value = slot.sign * (value + slot.offset)
    value = value + 0.0
    if not isfinite(value):
        return OUT_OF_RANGE
    if slot.has_codes:
        code = rint(value)
        for i in range(slot.first_code, slot.end_code):
            if code == codes[i]:
                value = meanings[i]
                break
        else:
            if not slot.keep_other_codes:
                return OUT_OF_RANGE
    result[0] = value
    return GOOD if slot.low <= value <= slot.high else OUT_OF_RANGE


def decode_images(
    const Slot[::1] slots,
    const uint64_t[::1] sentinels,
    const double[::1] codes,
    const double[::1] meanings,
    const uint16_t[:, ::1] images,
    const unsigned char[:, ::1] answered,
    double[:, ::1] values,
    signed char[:, ::1] quality,
):
    """Fill ``values`` and ``quality`` (devices, slots); nothing is checked.

    ``sentinels``, ``codes`` and ``meanings`` hold at least one element each.
    """
    cdef Py_ssize_t device, k
    cdef Py_ssize_t count = slots.shape[0]
    if images.shape[0] == 0 or count == 0:
        return
    with nogil:
        for device in range(images.shape[0]):
            for k in range(count):
                quality[device, k] = _decode(
                    &slots[k], &images[device, 0], &answered[device, 0],
                    &sentinels[0], &codes[0], &meanings[0], &values[device, k],
                )
