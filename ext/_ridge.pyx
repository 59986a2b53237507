# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Ridge kernel: normal equations of many series, without the interpreter's lock.

Called through :mod:`ext.ridge`, which validates and documents; the readable twin is
:mod:`ext.ridge_reference`. Columns are, in order: the constant, the shared ones, the
series' own, the lags, the target. Sums run in vectors, so they equal the twin's to
rounding, not to the bit.
"""

from libc.math cimport NAN, fabs, isfinite, sqrt
from libc.stdlib cimport calloc, free

cdef extern from *:
    """
    /* One source, compiled for the plain and for the wide machine; the loader chooses. */
    #if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
    #define HEARTH_WIDE __attribute__((target_clones("arch=haswell", "default")))
    #else
    #define HEARTH_WIDE
    #endif
    typedef double hearth_v4 __attribute__((vector_size(32), aligned(8), may_alias));

    /* Products of four columns with three, over count steps (a multiple of four). */
    HEARTH_WIDE static void hearth_dots(
        const double *const *a, const double *const *b, Py_ssize_t count, double *out)
    {
        hearth_v4 s[12];
        for (int k = 0; k < 12; k++) s[k] = (hearth_v4){0, 0, 0, 0};
        const double *a0 = a[0], *a1 = a[1], *a2 = a[2], *a3 = a[3];
        const double *b0 = b[0], *b1 = b[1], *b2 = b[2];
        for (Py_ssize_t t = 0; t < count; t += 4) {
            hearth_v4 x = *(const hearth_v4 *)(b0 + t);
            hearth_v4 y = *(const hearth_v4 *)(b1 + t);
            hearth_v4 z = *(const hearth_v4 *)(b2 + t);
            hearth_v4 v;
            v = *(const hearth_v4 *)(a0 + t); s[0] += v * x; s[1] += v * y; s[2] += v * z;
            v = *(const hearth_v4 *)(a1 + t); s[3] += v * x; s[4] += v * y; s[5] += v * z;
            v = *(const hearth_v4 *)(a2 + t); s[6] += v * x; s[7] += v * y; s[8] += v * z;
            v = *(const hearth_v4 *)(a3 + t); s[9] += v * x; s[10] += v * y; s[11] += v * z;
        }
        for (int k = 0; k < 12; k++) out[k] = (s[k][0] + s[k][1]) + (s[k][2] + s[k][3]);
    }

    /* out = a b, step by step; out may be a. */
    HEARTH_WIDE static void hearth_times(
        double *out, const double *a, const double *b, Py_ssize_t count)
    {
        for (Py_ssize_t t = 0; t < count; t++) out[t] = a[t] * b[t];
    }

    /* out += factor a. */
    HEARTH_WIDE static void hearth_add(
        double *out, const double *a, double factor, Py_ssize_t count)
    {
        for (Py_ssize_t t = 0; t < count; t++) out[t] += factor * a[t];
    }
    """
    void hearth_dots(
        const double* const* a, const double* const* b, Py_ssize_t count, double* out
    ) noexcept nogil
    void hearth_times(
        double* out, const double* a, const double* b, Py_ssize_t count
    ) noexcept nogil
    void hearth_add(double* out, const double* a, double factor, Py_ssize_t count) noexcept nogil

cdef enum:
    TILE = 256
    PAD = 8

# A pivot this small beside its column's own sum: earlier columns say the same.
cdef double SAME = 1e-11


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
    of.column = <const double**>calloc(of.columns + 4, sizeof(double*))
    return (
        of.clean != NULL and of.known != NULL and of.weight != NULL and of.own != NULL
        and of.column != NULL
    )


cdef void _drop(Series* of) noexcept nogil:
    free(of.clean)
    free(of.known)
    free(of.weight)
    free(of.own)
    free(<void*>of.column)


cdef void _load(
    Series* of,
    const double[::1] values,
    const double[:, ::1] own,
    const double[:, ::1] basis,
    const double[::1] row_weight,
    const long long[::1] lags,
    Py_ssize_t first,
    bint target,
) noexcept nogil:
    """Point the columns to one series and weigh its rows; a missing value skips its rows."""
    cdef Py_ssize_t t, j
    cdef Py_ssize_t begin = first - of.front
    cdef Py_ssize_t stride = of.rows + PAD
    cdef double value
    cdef double* to
    for t in range(of.front + of.rows):
        value = values[begin + t] if begin + t >= 0 else NAN
        of.known[t] = 1.0 if isfinite(value) else 0.0
        of.clean[t] = value if isfinite(value) else 0.0
    for t in range(of.rows):
        of.weight[t] = row_weight[t]
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
        of.column[of.shared + j] = to
    for j in range(lags.shape[0]):
        t = of.front - <Py_ssize_t>lags[j]
        of.column[of.shared + own.shape[0] + j] = of.clean + t
        hearth_times(of.weight, of.weight, of.known + t, of.rows)
    of.column[of.columns - 1] = of.clean + of.front
    if target:
        hearth_times(of.weight, of.weight, of.known + of.front, of.rows)


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
    const Series* of, const long long[::1] slot, bint slots, Py_ssize_t begin,
    double* tile, const double** left, double* gram, double* slot_sums,
) noexcept nogil:
    """Add the weighted products of columns ``begin`` and later with all before them."""
    cdef Py_ssize_t size = of.columns
    cdef Py_ssize_t many = size - begin
    cdef Py_ssize_t start, count, padded, i, j, k, m, t
    cdef const double* right[3]
    cdef double out[12]
    cdef double* zeros = tile + many * TILE
    cdef double* to
    start = -TILE
    while start + TILE < of.rows:
        start += TILE
        count = of.rows - start if of.rows - start < TILE else TILE
        padded = (count + 3) // 4 * 4
        for i in range(many):
            to = tile + i * TILE
            hearth_times(to, of.column[begin + i] + start, of.weight + start, count)
            for t in range(count, padded):
                to[t] = 0.0
            if slots:
                for t in range(count):
                    slot_sums[slot[start + t] * size + begin + i] += to[t]
        for i in range(0, many, 4):
            for k in range(4):
                left[k] = tile + (i + k) * TILE if i + k < many else zeros
            for j in range(0, (begin + i + 4) if begin + i + 4 < size else size, 3):
                for m in range(3):
                    right[m] = of.column[j + m] + start if j + m < size else zeros
                hearth_dots(left, right, padded, out)
                for k in range(4):
                    if i + k >= many:
                        break
                    for m in range(3):
                        if j + m <= begin + i + k:
                            gram[(begin + i + k) * size + j + m] += out[3 * k + m]


cdef void _sum_shared(
    const Series* of, const long long[::1] slot, bint slots,
    const double[::1] row_weight, const double[:, ::1] by_row,
    const double[:, ::1] total, const double[:, ::1] slot_total,
    double* gram, double* slot_sums,
) noexcept nogil:
    """Add what is the same for all series, less the rows that this one skips."""
    cdef Py_ssize_t i, j, t
    cdef Py_ssize_t size = of.columns
    cdef double part
    cdef const double* row
    for i in range(of.shared):
        for j in range(i + 1):
            gram[i * size + j] += total[i, j]
    if slots:
        for i in range(slot_total.shape[0]):
            for j in range(of.shared):
                slot_sums[i * size + j] += slot_total[i, j]
    for t in range(of.rows):
        if of.weight[t] != 0.0 or row_weight[t] == 0.0:
            continue
        row = &by_row[t, 0]
        for i in range(of.shared):
            part = row_weight[t] * row[i]
            for j in range(i + 1):
                gram[i * size + j] -= part * row[j]
            if slots:
                slot_sums[slot[t] * size + i] -= part


def accumulate(
    const double[:, ::1] values,
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
    cdef Py_ssize_t s, t, i
    cdef Py_ssize_t count = row_weight.shape[0]
    cdef Py_ssize_t front = 0
    cdef Py_ssize_t size = gram.shape[1]
    cdef bint slots = slot_sums.shape[1] > 0
    cdef bint reweigh = around.shape[0] > 0
    cdef double every = 0.0
    cdef double kept, rest
    cdef double* to_slots = NULL
    cdef double* tile = NULL
    cdef double* fitted = NULL
    cdef const double* left[4]
    cdef Series of
    cdef bint room
    for i in range(lags.shape[0]):
        if lags[i] > front:
            front = <Py_ssize_t>lags[i]
    for t in range(count):
        every += fabs(row_weight[t])
    with nogil:
        room = _make(&of, count, front, basis.shape[0], own.shape[1], lags.shape[0])
        tile = _zeros((size + 1) * TILE)
        fitted = _zeros(count + PAD)
        if room and tile != NULL and fitted != NULL:
            for s in range(begin, end):
                if keep != 1.0:
                    for i in range(size * size):
                        (&gram[s, 0, 0])[i] *= keep
                    if slots:
                        for i in range(slot_sums.shape[1] * size):
                            (&slot_sums[s, 0, 0])[i] *= keep
                _load(&of, values[s], own[s], basis, row_weight, lags, first, True)
                kept = 0.0
                for t in range(count):
                    if of.weight[t] != 0.0:
                        rows[s] += sign
                        kept += fabs(of.weight[t])
                if kept == 0.0:
                    continue
                if slots:
                    to_slots = &slot_sums[s, 0, 0]
                if reweigh:
                    _fit_rows(&of, around[s], slot, slots, fitted)
                    for t in range(count):
                        rest = of.column[size - 1][t] - fitted[t]
                        kept = quantile if rest > 0.0 else 1.0 - quantile
                        rest = fabs(rest) / scale[s]
                        of.weight[t] *= 2.0 * kept / (rest if rest > floor else floor)
                if reweigh or 2.0 * kept < every:
                    _sum_rows(&of, slot, slots, 0, tile, left, &gram[s, 0, 0], to_slots)
                else:
                    _sum_shared(
                        &of, slot, slots, row_weight, by_row, total, slot_total,
                        &gram[s, 0, 0], to_slots,
                    )
                    _sum_rows(
                        &of, slot, slots, basis.shape[0], tile, left, &gram[s, 0, 0], to_slots
                    )
        else:
            room = False
        _drop(&of)
        free(tile)
        free(fitted)
    if not room:
        raise MemoryError("no room for the ridge kernel's workspace")


cdef void _solve_one(
    const double* gram, const double* slot_sums, Py_ssize_t size, Py_ssize_t slots,
    double penalty, bint standardise, double* lower, double* scratch, double* out,
) noexcept nogil:
    """Coefficients of one series: slots eliminated first, then Cholesky.

    ``scratch`` holds the columns' own sums, the right-hand side, one slot's row.
    """
    cdef Py_ssize_t width = size - 1
    cdef Py_ssize_t i, j, k
    cdef double weight = gram[0]
    cdef double part, share
    cdef double* own = scratch
    cdef double* right = scratch + width
    for i in range(width):
        for j in range(i + 1):
            lower[i * width + j] = gram[i * size + j]
        right[i] = gram[width * size + i]
        if i > 0:
            part = 1.0
            if standardise:
                share = gram[i * size] / weight
                part = gram[i * size + i] / weight - share * share
                if part < 0.0:
                    part = 0.0
            lower[i * width + i] += penalty * part
        own[i] = lower[i * width + i]
    for k in range(slots):
        part = _slot_sum(slot_sums + k * size, weight, penalty, standardise)
        if part <= 0.0:
            continue
        for i in range(width):
            share = slot_sums[k * size + i] / part
            for j in range(i + 1):
                lower[i * width + j] -= share * slot_sums[k * size + j]
            right[i] -= share * slot_sums[k * size + width]
    # Cholesky in place; a column that earlier ones already say is left out: coefficient 0.
    for j in range(width):
        part = lower[j * width + j]
        for k in range(j):
            part -= lower[j * width + k] * lower[j * width + k]
        if not part > SAME * own[j]:
            for i in range(j, width):
                lower[i * width + j] = 0.0
            for k in range(j):
                lower[j * width + k] = 0.0
            lower[j * width + j] = 1.0
            right[j] = 0.0
            continue
        part = sqrt(part)
        lower[j * width + j] = part
        for i in range(j + 1, width):
            share = lower[i * width + j]
            for k in range(j):
                share -= lower[i * width + k] * lower[j * width + k]
            lower[i * width + j] = share / part
    for i in range(width):
        part = right[i]
        for k in range(i):
            part -= lower[i * width + k] * right[k]
        right[i] = part / lower[i * width + i]
    for i in range(width - 1, -1, -1):
        part = right[i]
        for k in range(i + 1, width):
            part -= lower[k * width + i] * out[k]
        out[i] = part / lower[i * width + i]
    for k in range(slots):
        part = _slot_sum(slot_sums + k * size, weight, penalty, standardise)
        share = slot_sums[k * size + width]
        for i in range(width):
            share -= slot_sums[k * size + i] * out[i]
        out[width + k] = share / part if part > 0.0 else 0.0


cdef inline double _slot_sum(
    const double* row, double weight, double penalty, bint standardise
) noexcept nogil:
    """A slot's weight and what its regularisation adds; nothing where it never came."""
    cdef double share
    if not row[0] > 0.0:
        return 0.0
    share = row[0] / weight
    return row[0] + penalty * (share * (1.0 - share) if standardise else 1.0)


def solve_all(
    const double[:, :, ::1] gram,
    const double[:, :, ::1] slot_sums,
    const long long[::1] rows,
    const double[::1] penalties,
    bint standardise,
    double[:, :, ::1] coefficients,
    Py_ssize_t begin,
    Py_ssize_t end,
):
    """Fill ``coefficients`` (series, penalties, columns); nothing is checked."""
    cdef Py_ssize_t s, p, i
    cdef Py_ssize_t size = gram.shape[1]
    cdef Py_ssize_t slots = slot_sums.shape[1]
    cdef double* lower = _zeros(size * size)
    cdef double* scratch = _zeros(2 * size)
    cdef const double* of_slots = NULL
    if lower == NULL or scratch == NULL:
        free(lower)
        free(scratch)
        raise MemoryError("no room for the ridge kernel's workspace")
    with nogil:
        for s in range(begin, end):
            if slots:
                of_slots = &slot_sums[s, 0, 0]
            for p in range(penalties.shape[0]):
                if rows[s] > 0 and gram[s, 0, 0] > 0.0:
                    _solve_one(
                        &gram[s, 0, 0], of_slots, size, slots, penalties[p], standardise,
                        lower, scratch, &coefficients[s, p, 0],
                    )
                else:
                    for i in range(coefficients.shape[2]):
                        coefficients[s, p, i] = NAN
        free(lower)
        free(scratch)


def fitted_rows(
    const double[:, ::1] values,
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
                _load(&of, values[s], own[s], basis, row_weight, lags, first, False)
                _fit_rows(&of, coefficients[s], slot, slots, &fitted[s, 0])
                for t in range(of.rows):
                    if of.weight[t] == 0.0:
                        fitted[s, t] = NAN
        _drop(&of)
    if not room:
        raise MemoryError("no room for the ridge kernel's workspace")


def predict_all(
    const double[:, ::1] history,
    const double[:, :, ::1] own,
    const double[:, ::1] basis,
    const long long[::1] slot,
    const long long[::1] lags,
    const double[:, :, ::1] coefficients,
    double[:, :, ::1] predicted,
    bint slots,
    Py_ssize_t begin,
    Py_ssize_t end,
):
    """Fill ``predicted`` (series, penalties, steps); early lags see later steps' forecasts."""
    cdef Py_ssize_t s, p, t, j, at
    cdef Py_ssize_t shared = basis.shape[0]
    cdef Py_ssize_t mine = own.shape[1]
    cdef Py_ssize_t past = history.shape[1]
    cdef double value, lagged
    cdef const double* by
    with nogil:
        for s in range(begin, end):
            for p in range(coefficients.shape[1]):
                by = &coefficients[s, p, 0]
                for t in range(predicted.shape[2]):
                    value = by[shared + mine + lags.shape[0] + slot[t]] if slots else 0.0
                    for j in range(shared):
                        value += by[j] * basis[j, t]
                    for j in range(mine):
                        value += by[shared + j] * own[s, j, t]
                    for j in range(lags.shape[0]):
                        at = t - <Py_ssize_t>lags[j]
                        if at >= 0:
                            lagged = predicted[s, p, at]
                        elif past + at >= 0:
                            lagged = history[s, past + at]
                        else:
                            lagged = NAN
                        value += by[shared + mine + j] * lagged
                    predicted[s, p, t] = value if isfinite(value) else NAN
