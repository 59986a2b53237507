# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Ridge kernel: coefficients from the normal equations, and forecasts from coefficients.

Called through :mod:`ext.ridge`, which validates and documents; the readable twin is
:mod:`ext.ridge_reference`. Columns are in the order of :mod:`ext._ridge_sums`.
"""

from libc.math cimport NAN, isfinite, sqrt
from libc.stdlib cimport calloc, free

# A pivot this small beside its column's own sum: earlier columns say the same.
cdef double SAME = 1e-11


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
    cdef double* lower = <double*>calloc(size * size, sizeof(double))
    cdef double* scratch = <double*>calloc(2 * size, sizeof(double))
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


def predict_all(
    const double[:, :] history,
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
