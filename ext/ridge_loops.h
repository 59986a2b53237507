/* Loops of the ridge kernel over steps, in vectors.
 *
 * One source, compiled for the plain and for the wide machine; the loader chooses.
 */
#ifndef HEARTH_RIDGE_LOOPS_H
#define HEARTH_RIDGE_LOOPS_H

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

/* clean = value and known = 1 where the value is finite, else 0 and 0; how many are. */
HEARTH_WIDE static Py_ssize_t hearth_know(
    double *clean, double *known, const double *value, Py_ssize_t count)
{
    Py_ssize_t many = 0;
    for (Py_ssize_t t = 0; t < count; t++) {
        double v = value[t];
        Py_ssize_t finite = v - v == 0.0;
        clean[t] = finite ? v : 0.0;
        known[t] = finite ? 1.0 : 0.0;
        many += finite;
    }
    return many;
}

/* Whether all weights are 1. */
HEARTH_WIDE static int hearth_flat(const double *weight, Py_ssize_t count)
{
    Py_ssize_t other = 0;
    for (Py_ssize_t t = 0; t < count; t++) other += weight[t] != 1.0;
    return other == 0;
}

/* out += outer products (lower triangle, perhaps more) of the rows with a weight that the
 * series skips; rows are stride doubles long, a multiple of four, zero behind their count. */
HEARTH_WIDE static void hearth_skipped(
    double *out, const double *by_row, const double *row_weight, const double *weight,
    Py_ssize_t rows, Py_ssize_t count, Py_ssize_t stride)
{
    for (Py_ssize_t t = 0; t < rows; t++) {
        const double *row = by_row + t * stride;
        if (weight[t] != 0.0 || row_weight[t] == 0.0) continue;
        for (Py_ssize_t i = 0; i < count; i++) {
            double part = row_weight[t] * row[i];
            double *to = out + i * stride;
            for (Py_ssize_t j = 0; j <= i; j += 4)
                *(hearth_v4 *)(to + j) += part * *(const hearth_v4 *)(row + j);
        }
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

#endif
