# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Roll-up kernel: irregular readings to regular steps, without the interpreter's lock.

Called through :mod:`ext.rollup`, which validates and documents; the readable twin
is :mod:`ext.rollup_reference`. Times are integers, so that coverage is exact.
"""

from libc.math cimport NAN, isfinite

cdef enum:
    GAUGE = 0
    COUNTER = 1
    STATE = 2

# Keeps sums over microseconds of very large values finite; a power of two is exact.
cdef double SCALE = 2.0 ** -40


cdef inline bint _is_good(double value, signed char quality) noexcept nogil:
    return quality == 0 and isfinite(value)


cdef inline void _widen(double* low, double* high, double value) noexcept nogil:
    # A comparison with nan is false, so the first value always enters.
    if not value >= low[0]:
        low[0] = value
    if not value <= high[0]:
        high[0] = value


cdef void _held(
    const long long[::1] times,
    const double[::1] values,
    const signed char[::1] quality,
    Py_ssize_t first,
    Py_ssize_t last,
    bint is_state,
    long long start,
    long long step,
    long long hold,
    double[::1] mean,
    double[::1] low,
    double[::1] high,
    double[::1] covered,
) noexcept nogil:
    """Gauges and states: each good value holds until the next reading, at most ``hold``.

    Time only goes forward, so one step is under way at a time. Its mean is summed as
    the difference from its first value: constants stay exact.
    """
    cdef Py_ssize_t i
    cdef Py_ssize_t k = -1
    cdef long long begin, until, part
    cdef long long known = 0
    cdef long long edge = start
    cdef long long end = start + mean.shape[0] * step
    cdef double value
    cdef double base = 0.0
    cdef double total = 0.0
    for i in range(first, last):
        value = values[i]
        if not _is_good(value, quality[i]):
            continue
        begin = times[i]
        until = begin + hold
        if i + 1 < last and times[i + 1] < until:
            until = times[i + 1]
        if begin < start:
            begin = start
        if until > end:
            until = end
        while begin < until:
            if begin >= edge:
                if k >= 0:
                    _close(&mean[k], &covered[k], low[k], high[k], base, total, known)
                if begin < edge + step:
                    k += 1
                else:
                    k = <Py_ssize_t>((begin - start) // step)
                edge = start + (k + 1) * step
                base = value
                total = 0.0
                known = 0
                low[k] = value
                high[k] = value
            part = (until if until < edge else edge) - begin
            known += part
            if is_state:
                base = value
            else:
                total += (value - base) * (part * SCALE)
            if value < low[k]:
                low[k] = value
            elif value > high[k]:
                high[k] = value
            begin += part
    if k >= 0:
        _close(&mean[k], &covered[k], low[k], high[k], base, total, known)


cdef inline void _close(
    double* mean, double* covered, double low, double high,
    double base, double total, long long known,
) noexcept nogil:
    """Finish a step; rounding must not carry its mean past the extremes."""
    covered[0] = known
    mean[0] = base + total / (known * SCALE)
    if mean[0] < low:
        mean[0] = low
    elif mean[0] > high:
        mean[0] = high


cdef bint _is_glitch(
    const long long[::1] times,
    const double[::1] values,
    const signed char[::1] quality,
    Py_ssize_t prev,
    Py_ssize_t i,
    Py_ssize_t last,
    long long hold,
) noexcept nogil:
    """Whether the counter's value at ``i`` is contradicted by what follows it."""
    cdef Py_ssize_t j
    for j in range(i + 1, last):
        if not _is_good(values[j], quality[j]):
            continue
        if values[i] >= values[prev]:
            # A jump that the very next good value takes back.
            return values[prev] <= values[j] < values[i]
        if times[j] - times[prev] > hold:
            return False
        if values[j] >= values[prev]:
            # A fall from which the counter soon comes back was no reset.
            return True
    return False


cdef void _risen(
    const long long[::1] times,
    const double[::1] values,
    const signed char[::1] quality,
    Py_ssize_t first,
    Py_ssize_t last,
    long long start,
    long long step,
    long long hold,
    double[::1] mean,
    double[::1] low,
    double[::1] high,
    double[::1] covered,
) noexcept nogil:
    """Counters: the rises that end within (begin, end] of each step."""
    cdef Py_ssize_t slots = mean.shape[0]
    cdef Py_ssize_t i, k
    cdef Py_ssize_t prev = -1
    cdef Py_ssize_t own
    cdef long long now, before, begin, until, edge
    cdef long long end = start + slots * step
    for i in range(first, last + 1):
        if i < last:
            if not _is_good(values[i], quality[i]):
                continue
            if prev >= 0 and _is_glitch(times, values, quality, prev, i, last, hold):
                continue
            now = times[i]
            own = <Py_ssize_t>((now - 1 - start) // step) if start < now <= end else -1
            if own >= 0:
                _widen(&low[own], &high[own], values[i])
        else:
            # After the last value: only its hold remains.
            own = -1
            now = end
        if prev >= 0:
            before = times[prev]
            if own >= 0 and values[i] >= values[prev]:
                begin = start + own * step
                if before >= begin or now - before <= hold:
                    mean[own] = values[i] - values[prev] + (mean[own] if mean[own] >= 0 else 0.0)
                    covered[own] += now - (before if before > begin else begin)
            # Steps before the one that this value closes are covered by holding.
            begin = before if before > start else start
            until = before + hold
            if until > now:
                until = now
            if until > end:
                until = end
            if begin < until:
                k = <Py_ssize_t>((begin - start) // step)
                while begin < until and k != own:
                    edge = start + (k + 1) * step
                    if edge > until:
                        edge = until
                    covered[k] += edge - begin
                    begin = edge
                    k += 1
        prev = i
    for k in range(slots):
        # Known and covered go together.
        if mean[k] != mean[k]:
            covered[k] = 0.0
        elif covered[k] == 0.0:
            mean[k] = NAN


def roll_up_series(
    const long long[::1] times,
    const double[::1] values,
    const signed char[::1] quality,
    const long long[::1] offsets,
    const signed char[::1] kinds,
    long long start,
    long long step,
    long long hold,
    double[:, ::1] mean,
    double[:, ::1] low,
    double[:, ::1] high,
    double[:, ::1] coverage,
):
    """Fill ``mean``, ``low``, ``high``, ``coverage`` (series, slots); nothing is checked."""
    cdef Py_ssize_t series, k
    cdef Py_ssize_t slots = mean.shape[1]
    with nogil:
        for series in range(kinds.shape[0]):
            for k in range(slots):
                mean[series, k] = NAN
                low[series, k] = NAN
                high[series, k] = NAN
                coverage[series, k] = 0.0
            if kinds[series] == COUNTER:
                _risen(
                    times, values, quality, offsets[series], offsets[series + 1],
                    start, step, hold,
                    mean[series], low[series], high[series], coverage[series],
                )
            else:
                _held(
                    times, values, quality, offsets[series], offsets[series + 1],
                    kinds[series] == STATE, start, step, hold,
                    mean[series], low[series], high[series], coverage[series],
                )
            for k in range(slots):
                coverage[series, k] /= step
