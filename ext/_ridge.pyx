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
    #define HEARTH_WIDE __attribute__((target_clones("fma", "default")))
    #else
    #define HEARTH_WIDE
    #endif
    typedef double hearth_v4 __attribute__((vector_size(32), aligned(8), may_alias));

    /* Products of four columns with three, over count steps (a multiple of four). */
    HEARTH_WIDE static void hearth_dots(
        const double *const *a, const double *const *b, Py_ssize_t count, double *out)
    {
        const hearth_v4 none = {0, 0, 0, 0};
        hearth_v4 p0 = none, q0 = none, r0 = none, p1 = none, q1 = none, r1 = none;
        hearth_v4 p2 = none, q2 = none, r2 = none, p3 = none, q3 = none, r3 = none;
        const double *a0 = a[0], *a1 = a[1], *a2 = a[2], *a3 = a[3];
        const double *b0 = b[0], *b1 = b[1], *b2 = b[2];
        for (Py_ssize_t t = 0; t < count; t += 4) {
            hearth_v4 x = *(const hearth_v4 *)(b0 + t);
            hearth_v4 y = *(const hearth_v4 *)(b1 + t);
            hearth_v4 z = *(const hearth_v4 *)(b2 + t);
            hearth_v4 v;
            v = *(const hearth_v4 *)(a0 + t); p0 += v * x; q0 += v * y; r0 += v * z;
            v = *(const hearth_v4 *)(a1 + t); p1 += v * x; q1 += v * y; r1 += v * z;
            v = *(const hearth_v4 *)(a2 + t); p2 += v * x; q2 += v * y; r2 += v * z;
            v = *(const hearth_v4 *)(a3 + t); p3 += v * x; q3 += v * y; r3 += v * z;
        }
    #define HEARTH_SUM(s) ((s[0] + s[1]) + (s[2] + s[3]))
        out[0] = HEARTH_SUM(p0); out[1] = HEARTH_SUM(q0); out[2] = HEARTH_SUM(r0);
        out[3] = HEARTH_SUM(p1); out[4] = HEARTH_SUM(q1); out[5] = HEARTH_SUM(r1);
        out[6] = HEARTH_SUM(p2); out[7] = HEARTH_SUM(q2); out[8] = HEARTH_SUM(r2);
        out[9] = HEARTH_SUM(p3); out[10] = HEARTH_SUM(q3); out[11] = HEARTH_SUM(r3);
    }

    /* out = a b, step by step; out may be a. */
    HEARTH_WIDE static void hearth_times(
        double *out, const double *a, const double *b, Py_ssize_t count)
    {
        for (Py_ssize_t t = 0; t < count; t++) out[t] = a[t] * b[t];
    }

    /* out *= each of the columns; count is a multiple of four. */
    HEARTH_WIDE static void hearth_mask(
        double *out, const double *const *column, Py_ssize_t columns, Py_ssize_t count)
    {
        for (Py_ssize_t t = 0; t < count; t += 4) {
            hearth_v4 v = *(hearth_v4 *)(out + t);
            for (Py_ssize_t k = 0; k < columns; k++) v *= *(const hearth_v4 *)(column[k] + t);
            *(hearth_v4 *)(out + t) = v;
        }
    }

    /* clean = value and known = 1 where the value is finite, else 0 and 0. */
    HEARTH_WIDE static void hearth_know(
        double *clean, double *known, const double *value, Py_ssize_t count)
    {
        for (Py_ssize_t t = 0; t < count; t++) {
            double v = value[t];
            int finite = v - v == 0.0;
            clean[t] = finite ? v : 0.0;
            known[t] = finite ? 1.0 : 0.0;
        }
    }

    /* Sum of sizes, and number of weights that are not 0; count is a multiple of four. */
    HEARTH_WIDE static void hearth_tally(
        const double *weight, Py_ssize_t count, double *kept, Py_ssize_t *rows)
    {
        double sum[4] = {0, 0, 0, 0};
        Py_ssize_t many[4] = {0, 0, 0, 0};
        for (Py_ssize_t t = 0; t < count; t += 4)
            for (int k = 0; k < 4; k++) {
                double v = weight[t + k];
                sum[k] += v < 0.0 ? -v : v;
                many[k] += v != 0.0;
            }
        *kept = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        *rows = (many[0] + many[1]) + (many[2] + many[3]);
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
    void hearth_mask(
        double* out, const double* const* column, Py_ssize_t columns, Py_ssize_t count
    ) noexcept nogil
    void hearth_know(
        double* clean, double* known, const double* value, Py_ssize_t count
    ) noexcept nogil
    void hearth_tally(
        const double* weight, Py_ssize_t count, double* kept, Py_ssize_t* rows
    ) noexcept nogil
    void hearth_add(double* out, const double* a, double factor, Py_ssize_t count) noexcept nogil

cdef enum:
    TILE = 256
    PAD = 8
    GROUP = 8

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
    t = 0
    while t < of.front and begin + t < 0:
        of.known[t] = 0.0
        of.clean[t] = 0.0
        t += 1
    if of.front + of.rows > t:
        hearth_know(
            of.clean + t, of.known + t, &values[0] + begin + t, of.front + of.rows - t
        )
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
    of.column[of.columns - 1] = of.clean + of.front
    # A row stands where target and lags are known; weights behind the last row are zero.
    for j in range(lags.shape[0]):
        of.mask[j] = of.known + of.front - lags[j]
    of.mask[lags.shape[0]] = of.known + of.front
    hearth_mask(
        of.weight, of.mask, lags.shape[0] + (1 if target else 0), (of.rows + 3) // 4 * 4
    )


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
    Py_ssize_t begin, double* tile, double** gram, double** slot_sums,
) noexcept nogil:
    """Add the weighted products of columns ``begin`` and later with all before them.

    Columns before ``begin`` are the same for all members and are read once a tile.
    """
    cdef Py_ssize_t size = group[0].columns
    cdef Py_ssize_t rows = group[0].rows
    cdef Py_ssize_t many = size - begin
    cdef Py_ssize_t start, count, padded, g, i, j, k, m, t
    cdef const double* left[4]
    cdef const double* right[3]
    cdef double out[12]
    cdef double* zeros = tile + members * many * TILE
    cdef double* to
    start = -TILE
    while start + TILE < rows:
        start += TILE
        count = rows - start if rows - start < TILE else TILE
        padded = (count + 3) // 4 * 4
        for g in range(members):
            for i in range(many):
                to = tile + (g * many + i) * TILE
                hearth_times(
                    to, group[g].column[begin + i] + start, group[g].weight + start, count
                )
                for t in range(count, padded):
                    to[t] = 0.0
                if slots:
                    for t in range(count):
                        slot_sums[g][slot[start + t] * size + begin + i] += to[t]
        for i in range(0, members * many, 4):
            for k in range(4):
                left[k] = tile + (i + k) * TILE if i + k < members * many else zeros
            for j in range(0, begin, 3):
                for m in range(3):
                    right[m] = group[0].column[j + m] + start if j + m < begin else zeros
                hearth_dots(left, right, padded, out)
                for k in range(4):
                    if i + k >= members * many:
                        break
                    to = gram[(i + k) // many] + (begin + (i + k) % many) * size
                    for m in range(3):
                        if j + m < begin:
                            to[j + m] += out[3 * k + m]
        for g in range(members):
            for i in range(0, many, 4):
                for k in range(4):
                    left[k] = tile + (g * many + i + k) * TILE if i + k < many else zeros
                for j in range(begin, (begin + i + 4) if begin + i + 4 < size else size, 3):
                    for m in range(3):
                        right[m] = group[g].column[j + m] + start if j + m < size else zeros
                    hearth_dots(left, right, padded, out)
                    for k in range(4):
                        if i + k >= many:
                            break
                        for m in range(3):
                            if j + m <= begin + i + k:
                                gram[g][(begin + i + k) * size + j + m] += out[3 * k + m]


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
    cdef Py_ssize_t s, t, i, more
    cdef Py_ssize_t count = row_weight.shape[0]
    cdef Py_ssize_t front = 0
    cdef Py_ssize_t size = gram.shape[1]
    cdef Py_ssize_t shared = basis.shape[0]
    cdef bint slots = slot_sums.shape[1] > 0
    cdef bint reweigh = around.shape[0] > 0
    cdef double every = 0.0
    cdef double kept
    cdef double* to_gram[GROUP]
    cdef double* to_slots[GROUP]
    cdef double* tile = NULL
    cdef double* fitted = NULL
    cdef Series group[GROUP]
    cdef Py_ssize_t most = 1 if reweigh else 64 // (size - shared)
    cdef Py_ssize_t members = 0
    cdef bint room = True
    if most > GROUP:
        most = GROUP
    if most < 1:
        most = 1
    for i in range(lags.shape[0]):
        if lags[i] > front:
            front = <Py_ssize_t>lags[i]
    for t in range(count):
        every += fabs(row_weight[t])
    with nogil:
        for i in range(most):
            room = _make(
                &group[i], count, front, shared, own.shape[1], lags.shape[0]
            ) and room
        tile = _zeros((most * (size - shared) + size + 1) * TILE)
        fitted = _zeros(count + PAD)
        if tile == NULL or fitted == NULL:
            room = False
        if room:
            for s in range(begin, end):
                if keep != 1.0:
                    for i in range(size * size):
                        (&gram[s, 0, 0])[i] *= keep
                    if slots:
                        for i in range(slot_sums.shape[1] * size):
                            (&slot_sums[s, 0, 0])[i] *= keep
                _load(&group[members], values[s], own[s], basis, row_weight, lags, first, True)
                # Weights are zero behind the last row.
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
                            &group[members], 1, slot, slots, 0, tile,
                            &to_gram[members], &to_slots[members],
                        )
                    else:
                        _sum_shared(
                            &group[members], slot, slots, row_weight, by_row, total, slot_total,
                            to_gram[members], to_slots[members],
                        )
                        members += 1
                if members == most or (members > 0 and s == end - 1):
                    _sum_rows(group, members, slot, slots, shared, tile, to_gram, to_slots)
                    members = 0
        for i in range(most):
            _drop(&group[i])
        free(tile)
        free(fitted)
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
