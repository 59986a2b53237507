# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Ridge kernel: normal equations of many series, without the interpreter's lock.

Called through :mod:`ext.ridge`, which validates and documents; the readable twin is
:mod:`ext.ridge_reference`. Columns are, in order: the constant, the shared ones, the
series' own, the lags, the target. Sums run in vectors, so they equal the twin's to
rounding, not to the bit.
"""

from libc.math cimport NAN, fabs, isfinite
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

cdef extern from "ridge_loops.h":
    void hearth_dots(
        const double* const* a, const double* const* b, Py_ssize_t count, double* out
    ) noexcept nogil
    void hearth_times(
        double* out, const double* a, const double* b, Py_ssize_t count
    ) noexcept nogil
    void hearth_mask(
        double* out, const double* const* column, Py_ssize_t columns, Py_ssize_t count
    ) noexcept nogil
    Py_ssize_t hearth_know(
        double* clean, double* known, const double* value, Py_ssize_t count
    ) noexcept nogil
    bint hearth_flat(const double* weight, Py_ssize_t count) noexcept nogil
    void hearth_skipped(
        double* out, const double* by_row, const double* row_weight, const double* weight,
        Py_ssize_t rows, Py_ssize_t count, Py_ssize_t stride
    ) noexcept nogil
    void hearth_tally(
        const double* weight, Py_ssize_t count, double* kept, Py_ssize_t* rows
    ) noexcept nogil
    void hearth_add(double* out, const double* a, double factor, Py_ssize_t count) noexcept nogil

cdef enum:
    TILE = 512
    PAD = 8
    GROUP = 8


cdef struct Series:
    # What the loops need of one series, all rows from the first one asked for.
    Py_ssize_t rows      # rows asked for
    Py_ssize_t front     # steps before them that lags reach
    Py_ssize_t shared    # columns that all series share, with the constant
    Py_ssize_t columns   # all columns, with the target
    double* clean        # values, 0 where missing; front + rows + PAD
    double* known        # 1 where known, else 0
    double* weight       # weight of each row, 0 where it is skipped
    double* own          # own columns, 0 where missing
    const double** column  # where each column begins
    const double** mask  # where it says what is known of each lag, and of the target


cdef double* _zeros(Py_ssize_t count) noexcept nogil:
    return <double*>calloc(count if count > 0 else 1, sizeof(double))


cdef bint _make(
    Series* of, Py_ssize_t rows, Py_ssize_t front, Py_ssize_t shared, Py_ssize_t own,
    Py_ssize_t lags,
) noexcept nogil:
    """Reserve room; ``False`` where there is none."""
    of.rows = rows
    of.front = front
    of.shared = shared
    of.columns = shared + own + lags + 1
    of.clean = _zeros(front + rows + PAD)
    of.known = _zeros(front + rows + PAD)
    of.weight = _zeros(rows + PAD)
    of.own = _zeros(own * (rows + PAD))
    of.column = <const double**>calloc(of.columns, sizeof(double*))
    of.mask = <const double**>calloc(lags + 1, sizeof(double*))
    return (
        of.clean != NULL and of.known != NULL and of.weight != NULL and of.own != NULL
        and of.column != NULL and of.mask != NULL
    )


cdef void _drop(Series* of) noexcept nogil:
    free(of.clean)
    free(of.known)
    free(of.weight)
    free(of.own)
    free(<void*>of.column)
    free(<void*>of.mask)


cdef bint _load(
    Series* of,
    const double* values,
    const double[:, ::1] own,
    const double[:, ::1] basis,
    const double[::1] row_weight,
    const long long[::1] lags,
    Py_ssize_t first,
    bint target,
) noexcept nogil:
    """Point the columns to one series and weigh its rows; a missing value skips its rows.

    Rows whose lags lie before the window come without weight. Returns whether nothing is
    missing, so that every row keeps its weight.
    """
    cdef Py_ssize_t t, j
    cdef Py_ssize_t absent = of.front - first if of.front > first else 0
    cdef Py_ssize_t stride = of.rows + PAD
    cdef Py_ssize_t here = of.front + of.rows - absent
    cdef double value
    cdef double* to
    cdef bint whole = True
    if absent > of.front + of.rows:
        absent = of.front + of.rows
        here = 0
    memset(of.clean, 0, absent * sizeof(double))
    memset(of.known, 0, absent * sizeof(double))
    if here > 0:
        whole = hearth_know(
            of.clean + absent, of.known + absent, values + first - of.front + absent, here
        ) == here
    memcpy(of.weight, &row_weight[0], of.rows * sizeof(double))
    for j in range(of.shared):
        of.column[j] = &basis[j, 0]
    for j in range(own.shape[0]):
        to = of.own + j * stride
        for t in range(of.rows):
            value = own[j, first + t]
            if isfinite(value):
                to[t] = value
            else:
                to[t] = 0.0
                of.weight[t] = 0.0
                whole = False
        of.column[of.shared + j] = to
    for j in range(lags.shape[0]):
        t = of.front - <Py_ssize_t>lags[j]
        of.column[of.shared + own.shape[0] + j] = of.clean + t
    of.column[of.columns - 1] = of.clean + of.front
    if whole:
        return True
    # A row stands where target and lags are known; weights behind the last row are zero.
    for j in range(lags.shape[0]):
        of.mask[j] = of.known + of.front - lags[j]
    of.mask[lags.shape[0]] = of.known + of.front
    hearth_mask(
        of.weight, of.mask, lags.shape[0] + (1 if target else 0), (of.rows + 3) // 4 * 4
    )
    return False


cdef void _fit_rows(
    const Series* of, const double[::1] coefficients, const long long[::1] slot,
    bint slots, double* out,
) noexcept nogil:
    """What the coefficients say for each row."""
    cdef Py_ssize_t t, j
    for t in range(of.rows):
        out[t] = coefficients[of.columns - 1 + slot[t]] if slots else 0.0
    for j in range(of.columns - 1):
        hearth_add(out, of.column[j], coefficients[j], of.rows)


cdef void _sum_rows(
    const Series* group, Py_ssize_t members, const long long[::1] slot, bint slots,
    Py_ssize_t begin, double* tile, const double** weighted, double** gram, double** slot_sums,
) noexcept nogil:
    """Add the weighted products of columns ``begin`` and later with all before them.

    Columns before ``begin`` are the same for all members and are read once a tile. A tile
    whose weights are all 1 is used where it lies.
    """
    cdef Py_ssize_t size = group[0].columns
    cdef Py_ssize_t rows = group[0].rows
    cdef Py_ssize_t many = size - begin
    cdef Py_ssize_t every = members * many
    cdef Py_ssize_t start, count, padded, g, i, j, k, m, t
    cdef const double* left[4]
    cdef const double* right[3]
    cdef const double* source
    cdef double out[12]
    cdef double* to
    cdef double* of_slot
    # Behind the last column stand four of zeros.
    for i in range(every, every + 4):
        weighted[i] = tile + every * TILE
    start = -TILE
    while start + TILE < rows:
        start += TILE
        count = rows - start if rows - start < TILE else TILE
        padded = (count + 3) // 4 * 4
        for g in range(members):
            if count == padded and hearth_flat(group[g].weight + start, count):
                for i in range(many):
                    weighted[g * many + i] = group[g].column[begin + i] + start
            else:
                for i in range(many):
                    to = tile + (g * many + i) * TILE
                    weighted[g * many + i] = to
                    hearth_times(
                        to, group[g].column[begin + i] + start, group[g].weight + start, count
                    )
                    for t in range(count, padded):
                        to[t] = 0.0
            if slots:
                for i in range(many):
                    source = weighted[g * many + i]
                    of_slot = slot_sums[g] + begin + i
                    for t in range(count):
                        of_slot[slot[start + t] * size] += source[t]
        for i in range(0, every, 4):
            for k in range(4):
                left[k] = weighted[i + k]
            for j in range(0, begin, 3):
                for m in range(3):
                    right[m] = group[0].column[j + m] + start if j + m < begin else left[0]
                hearth_dots(left, right, padded, out)
                for k in range(4):
                    if i + k >= every:
                        break
                    to = gram[(i + k) // many] + (begin + (i + k) % many) * size
                    for m in range(3):
                        if j + m < begin:
                            to[j + m] += out[3 * k + m]
        for g in range(members):
            for i in range(0, many, 4):
                for k in range(4):
                    left[k] = weighted[g * many + (i + k if i + k < many else i)]
                for j in range(begin, (begin + i + 4) if begin + i + 4 < size else size, 3):
                    for m in range(3):
                        right[m] = group[g].column[j + m if j + m < size else j] + start
                    hearth_dots(left, right, padded, out)
                    for k in range(4):
                        if i + k >= many:
                            break
                        for m in range(3):
                            if j + m <= begin + i + k:
                                gram[g][(begin + i + k) * size + j + m] += out[3 * k + m]


cdef void _sum_shared(
    const Series* of, bint whole, const long long[::1] slot, bint slots,
    const double[::1] row_weight, const double[:, ::1] by_row,
    const double[:, ::1] total, const double[:, ::1] slot_total,
    double* skipped, double* gram, double* slot_sums,
) noexcept nogil:
    """Add what is the same for all series, less the rows that this one skips."""
    cdef Py_ssize_t i, j, t
    cdef Py_ssize_t size = of.columns
    cdef Py_ssize_t stride = by_row.shape[1]
    for i in range(of.shared):
        for j in range(i + 1):
            gram[i * size + j] += total[i, j]
    if slots:
        for i in range(slot_total.shape[0]):
            for j in range(of.shared):
                slot_sums[i * size + j] += slot_total[i, j]
    if whole:
        return
    memset(skipped, 0, of.shared * stride * sizeof(double))
    hearth_skipped(
        skipped, &by_row[0, 0], &row_weight[0], of.weight, of.rows, of.shared, stride
    )
    for i in range(of.shared):
        for j in range(i + 1):
            gram[i * size + j] -= skipped[i * stride + j]
    if slots:
        for t in range(of.rows):
            if of.weight[t] == 0.0 and row_weight[t] != 0.0:
                for i in range(of.shared):
                    slot_sums[slot[t] * size + i] -= row_weight[t] * by_row[t, i]


def accumulate(
    const double[:, :] values,
    const double[:, :, ::1] own,
    const double[:, ::1] basis,
    const double[:, ::1] by_row,
    const double[::1] row_weight,
    const long long[::1] slot,
    const long long[::1] lags,
    Py_ssize_t first,
    const double[:, ::1] total,
    const double[:, ::1] slot_total,
    const double[:, ::1] around,
    const double[::1] scale,
    double floor,
    double quantile,
    double keep,
    long long sign,
    double[:, :, ::1] gram,
    double[:, :, ::1] slot_sums,
    long long[::1] rows,
    Py_ssize_t begin,
    Py_ssize_t end,
):
    """Add rows to the sums of series ``begin`` to ``end``; nothing is checked."""
    cdef Py_ssize_t s, t, i, more
    cdef Py_ssize_t count = row_weight.shape[0]
    cdef Py_ssize_t front = 0
    cdef Py_ssize_t size = gram.shape[1]
    cdef Py_ssize_t shared = basis.shape[0]
    cdef bint slots = slot_sums.shape[1] > 0
    cdef bint reweigh = around.shape[0] > 0
    cdef Py_ssize_t standing = 0
    cdef double every = 0.0
    cdef double kept
    cdef double* to_gram[GROUP]
    cdef double* to_slots[GROUP]
    cdef double* tile = NULL
    cdef double* fitted = NULL
    cdef double* skipped = NULL
    cdef const double** weighted = NULL
    cdef Series group[GROUP]
    cdef Py_ssize_t most = 1 if reweigh else 64 // (size - shared)
    cdef Py_ssize_t members = 0
    cdef bint room = True
    cdef bint whole
    if most > GROUP:
        most = GROUP
    if most < 1:
        most = 1
    for i in range(lags.shape[0]):
        if lags[i] > front:
            front = <Py_ssize_t>lags[i]
    for t in range(count):
        every += fabs(row_weight[t])
        standing += row_weight[t] != 0.0
    with nogil:
        for i in range(most):
            room = _make(
                &group[i], count, front, shared, own.shape[1], lags.shape[0]
            ) and room
        # Members of a group, or all columns of one; behind them a column of zeros.
        i = most * (size - shared)
        if i < size:
            i = size
        tile = _zeros((i + 1) * TILE)
        weighted = <const double**>calloc(i + 4, sizeof(double*))
        fitted = _zeros(count + PAD)
        skipped = _zeros(shared * by_row.shape[1])
        if tile == NULL or weighted == NULL or fitted == NULL or skipped == NULL:
            room = False
        if room:
            for s in range(begin, end):
                if keep != 1.0:
                    for i in range(size * size):
                        (&gram[s, 0, 0])[i] *= keep
                    if slots:
                        for i in range(slot_sums.shape[1] * size):
                            (&slot_sums[s, 0, 0])[i] *= keep
                whole = _load(
                    &group[members], &values[s, 0], own[s], basis, row_weight, lags, first, True
                )
                kept, more = every, standing
                if not whole:  # weights are zero behind the last row
                    hearth_tally(group[members].weight, (count + 3) // 4 * 4, &kept, &more)
                rows[s] += sign * more
                to_gram[members] = &gram[s, 0, 0]
                to_slots[members] = &slot_sums[s, 0, 0] if slots else NULL
                if reweigh:
                    _reweigh(
                        &group[members], around[s], slot, slots, scale[s], floor, quantile, fitted
                    )
                if more > 0:
                    if reweigh or 2.0 * kept < every:
                        _sum_rows(
                            &group[members], 1, slot, slots, 0, tile, weighted,
                            &to_gram[members], &to_slots[members],
                        )
                    else:
                        _sum_shared(
                            &group[members], whole, slot, slots, row_weight, by_row, total,
                            slot_total, skipped, to_gram[members], to_slots[members],
                        )
                        members += 1
                if members == most or (members > 0 and s == end - 1):
                    _sum_rows(
                        group, members, slot, slots, shared, tile, weighted, to_gram, to_slots
                    )
                    members = 0
        for i in range(most):
            _drop(&group[i])
        free(tile)
        free(<void*>weighted)
        free(fitted)
        free(skipped)
    if not room:
        raise MemoryError("no room for the ridge kernel's workspace")


cdef void _reweigh(
    Series* of, const double[::1] coefficients, const long long[::1] slot, bint slots,
    double scale, double floor, double quantile, double* fitted,
) noexcept nogil:
    """Weigh rows by their residuals."""
    cdef Py_ssize_t t
    cdef double rest, share
    _fit_rows(of, coefficients, slot, slots, fitted)
    for t in range(of.rows):
        if of.weight[t] == 0.0:
            continue
        rest = of.column[of.columns - 1][t] - fitted[t]
        share = quantile if rest > 0.0 else 1.0 - quantile
        rest = fabs(rest) / scale
        of.weight[t] *= 2.0 * share / (rest if rest > floor else floor)


def fitted_rows(
    const double[:, :] values,
    const double[:, :, ::1] own,
    const double[:, ::1] basis,
    const double[::1] row_weight,
    const long long[::1] slot,
    const long long[::1] lags,
    Py_ssize_t first,
    const double[:, ::1] coefficients,
    double[:, ::1] fitted,
    bint slots,
    Py_ssize_t begin,
    Py_ssize_t end,
):
    """Fill ``fitted`` (series, rows), ``nan`` where a feature is missing."""
    cdef Py_ssize_t s, t, i
    cdef Py_ssize_t front = 0
    cdef Series of
    cdef bint room
    for i in range(lags.shape[0]):
        if lags[i] > front:
            front = <Py_ssize_t>lags[i]
    with nogil:
        room = _make(
            &of, row_weight.shape[0], front, basis.shape[0], own.shape[1], lags.shape[0]
        )
        if room:
            for s in range(begin, end):
                _load(&of, &values[s, 0], own[s], basis, row_weight, lags, first, False)
                _fit_rows(&of, coefficients[s], slot, slots, &fitted[s, 0])
                for t in range(of.rows):
                    if of.weight[t] == 0.0:
                        fitted[s, t] = NAN
        _drop(&of)
    if not room:
        raise MemoryError("no room for the ridge kernel's workspace")
