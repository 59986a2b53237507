# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""States kernel: the cheapest heating of homes with several states, without the interpreter's lock.

Called through :mod:`ext.states`, which validates, documents and has the maths; the readable
twin is :mod:`ext.states_reference`. The numbers of equations are those of the face.
"""

from libc.math cimport fabs, sqrt
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

cdef enum:
    STATES = 3
    INPUTS = 8

cdef double SHORT = 0.9
cdef double TINY = 1e-300


cdef struct Home:
    Py_ssize_t steps, n, m, hinges
    const double* start
    const double* carry
    const double* gain
    const double* drift
    const double* most
    const double* rate
    const double* busy
    const double* kink
    const double* weight
    const Py_ssize_t* of
    const double* side
    const double* worth
    double* price


cdef struct Point:
    # slacks and multipliers of (5), their steps and what their products are to be
    double* p
    double* q
    double* y
    double* stiff  # 1 / (p / (w - y) + q / y)
    double* over_y
    double* over_rest
    double* dp
    double* dq
    double* dy
    double* ty
    double* tp
    double* heat
    double* room
    double* over_heat
    double* over_room
    double* low
    double* high
    double* dheat
    double* dlow
    double* dhigh
    double* tlow
    double* thigh
    double* idle
    double* over_idle
    double* squeeze
    double* didle
    double* dsqueeze
    double* tidle
    double* root
    double* back
    double* feed


cdef double* taken(double** memory, Py_ssize_t count) noexcept nogil:
    cdef double* at = memory[0]
    memory[0] += count
    return at


cdef Py_ssize_t needed(Py_ssize_t steps, Py_ssize_t n, Py_ssize_t m, Py_ssize_t k) noexcept nogil:
    return steps * (11 * k + 12 * m + 6 + m * m + m * n)


cdef Point laid(
    double* memory, Py_ssize_t steps, Py_ssize_t n, Py_ssize_t m, Py_ssize_t k
) noexcept nogil:
    cdef Point at
    at.p = taken(&memory, steps * k)
    at.q = taken(&memory, steps * k)
    at.y = taken(&memory, steps * k)
    at.stiff = taken(&memory, steps * k)
    at.over_y = taken(&memory, steps * k)
    at.over_rest = taken(&memory, steps * k)
    at.dp = taken(&memory, steps * k)
    at.dq = taken(&memory, steps * k)
    at.dy = taken(&memory, steps * k)
    at.ty = taken(&memory, steps * k)
    at.tp = taken(&memory, steps * k)
    at.heat = taken(&memory, steps * m)
    at.room = taken(&memory, steps * m)
    at.over_heat = taken(&memory, steps * m)
    at.over_room = taken(&memory, steps * m)
    at.low = taken(&memory, steps * m)
    at.high = taken(&memory, steps * m)
    at.dheat = taken(&memory, steps * m)
    at.dlow = taken(&memory, steps * m)
    at.dhigh = taken(&memory, steps * m)
    at.tlow = taken(&memory, steps * m)
    at.thigh = taken(&memory, steps * m)
    at.idle = taken(&memory, steps)
    at.over_idle = taken(&memory, steps)
    at.squeeze = taken(&memory, steps)
    at.didle = taken(&memory, steps)
    at.dsqueeze = taken(&memory, steps)
    at.tidle = taken(&memory, steps)
    at.root = taken(&memory, steps * m * m)
    at.back = taken(&memory, steps * m * n)
    at.feed = taken(&memory, steps * m)
    return at


cdef void forwards(
    Home* home, const double* heat, Py_ssize_t step, double* now, double* after
) noexcept nogil:
    """(1): the states after a step."""
    cdef Py_ssize_t i, j
    cdef Py_ssize_t n = home.n, m = home.m
    cdef double total
    for i in range(n):
        total = home.drift[step * n + i]
        for j in range(n):
            total += home.carry[(step * n + i) * n + j] * now[j]
        for j in range(m):
            total += home.gain[(step * n + i) * m + j] * heat[step * m + j]
        after[i] = total


cdef double value_of(Home* home, const double* heat) noexcept nogil:
    """(2)."""
    cdef double now[STATES]
    cdef double after[STATES]
    cdef Py_ssize_t step, i, k
    cdef double total = 0.0, over
    for i in range(home.n):
        now[i] = home.start[i]
    for step in range(home.steps):
        forwards(home, heat, step, now, after)
        for i in range(home.n):
            now[i] = after[i]
        for i in range(home.m):
            total += home.price[step] * home.rate[step * home.m + i] * heat[step * home.m + i]
        for k in range(home.hinges):
            over = home.side[k] * (now[home.of[k]] - home.kink[step * home.hinges + k])
            if over > 0.0:
                total += home.weight[step * home.hinges + k] * over
    for i in range(home.n):
        total -= home.worth[i] * now[i]
    return total


cdef double cheapest(Home* home, Py_ssize_t step, const double* cost) noexcept nogil:
    """Least of cost u in (3): what earns most a share of the compressor goes first."""
    cdef bint done[INPUTS]
    cdef Py_ssize_t i, best
    cdef Py_ssize_t m = home.m
    cdef double total = 0.0, left = 1.0, share, given, most, least, rank
    for i in range(m):
        done[i] = not (cost[i] < 0.0 and home.most[step * m + i] > 0.0)
        if not done[i] and home.busy[step * m + i] == 0.0:
            done[i] = True
            total += cost[i] * home.most[step * m + i]
    while left > 0.0:
        best = -1
        least = 0.0
        for i in range(m):
            if done[i]:
                continue
            rank = cost[i] / home.busy[step * m + i]
            if best < 0 or rank < least:
                best = i
                least = rank
        if best < 0:
            break
        done[best] = True
        share = home.busy[step * m + best]
        most = home.most[step * m + best]
        given = min(most, left / share)
        left -= share * given
        total += cost[best] * given
    return total


cdef double bound_of(Home* home, const double* y, double* spares) noexcept nogil:
    """(4); spares is filled with what a kW of the first input spares later in each step."""
    cdef double pull[STATES]
    cdef double before[STATES]
    cdef double cost[INPUTS]
    cdef Py_ssize_t step, i, j, k
    cdef Py_ssize_t n = home.n, m = home.m
    cdef double total = 0.0, force
    for i in range(n):
        pull[i] = -home.worth[i]
    for step in range(home.steps - 1, -1, -1):
        for k in range(home.hinges):
            force = home.side[k] * y[step * home.hinges + k]
            pull[home.of[k]] += force
            total -= force * home.kink[step * home.hinges + k]
        for i in range(m):
            cost[i] = home.price[step] * home.rate[step * m + i]
            for j in range(n):
                cost[i] += pull[j] * home.gain[(step * n + j) * m + i]
        spares[step] = home.price[step] * home.rate[step * m] - cost[0]
        total += cheapest(home, step, cost)
        for i in range(n):
            total += pull[i] * home.drift[step * n + i]
        for i in range(n):
            before[i] = 0.0
            for j in range(n):
                before[i] += home.carry[(step * n + j) * n + i] * pull[j]
        for i in range(n):
            pull[i] = before[i]
    for i in range(n):
        total += pull[i] * home.start[i]
    return total


cdef void begin_at(
    Home* home, Point* at, const double* first, double target, double margin
) noexcept nogil:
    """Put the point on the central path at a heat near the first one, strictly inside."""
    cdef double now[STATES]
    cdef double after[STATES]
    cdef Py_ssize_t step, i, k, index
    cdef Py_ssize_t m = home.m, hinges = home.hinges
    cdef double most, load, excess, weight, root, big, small
    cdef bint shares
    for i in range(home.n):
        now[i] = home.start[i]
    for step in range(home.steps):
        load = 0.0
        shares = False
        for i in range(m):
            index = step * m + i
            most = home.most[index]
            at.heat[index] = min(max(first[index], margin * most), (1.0 - margin) * most)
            load += home.busy[index] * at.heat[index]
            shares = shares or (home.busy[index] > 0.0 and most > 0.0)
        if load > 1.0 - margin:
            for i in range(m):
                if home.busy[step * m + i] > 0.0:
                    at.heat[step * m + i] *= (1.0 - margin) / load
            load = 1.0 - margin
        at.idle[step] = 1.0 - load
        at.squeeze[step] = target / at.idle[step] if shares else 0.0
        for i in range(m):
            index = step * m + i
            if home.most[index] > 0.0:
                at.room[index] = home.most[index] - at.heat[index]
                at.low[index] = target / at.heat[index]
                at.high[index] = target / at.room[index]
            else:
                at.heat[index] = 0.0
                at.room[index] = 1.0
                at.low[index] = at.high[index] = 0.0
        forwards(home, at.heat, step, now, after)
        for i in range(home.n):
            now[i] = after[i]
        for k in range(hinges):
            index = step * hinges + k
            weight = home.weight[index]
            if weight <= 0.0:
                at.p[index] = at.q[index] = 1.0
                at.y[index] = 0.0
                continue
            excess = home.side[k] * (now[home.of[k]] - home.kink[index])
            root = sqrt(weight * weight * excess * excess + 4.0 * target * target)
            big = (2.0 * target + weight * fabs(excess) + root) / (2.0 * weight)
            small = target * big / (weight * big - target)
            at.p[index] = big if excess > 0.0 else small
            at.q[index] = small if excess > 0.0 else big
            at.y[index] = target / at.q[index]


cdef double products(Home* home, Point* at, double primal, double dual) noexcept nogil:
    """Sum of all slacks times multipliers, so far along a step."""
    cdef Py_ssize_t index, step
    cdef double total = 0.0, y, weight
    for index in range(home.steps * home.hinges):
        weight = home.weight[index]
        if weight > 0.0:
            y = at.y[index] + dual * at.dy[index]
            total += y * (at.q[index] + primal * at.dq[index])
            total += (weight - y) * (at.p[index] + primal * at.dp[index])
    for index in range(home.steps * home.m):
        if home.most[index] > 0.0:
            total += (at.low[index] + dual * at.dlow[index]) * (
                at.heat[index] + primal * at.dheat[index]
            )
            total += (at.high[index] + dual * at.dhigh[index]) * (
                at.room[index] - primal * at.dheat[index]
            )
    for step in range(home.steps):
        total += (at.squeeze[step] + dual * at.dsqueeze[step]) * (
            at.idle[step] + primal * at.didle[step]
        )
    return total


cdef void factor(Home* home, Point* at) noexcept nogil:
    """Backwards: roots of the inputs' costs and the feedback of states on inputs."""
    cdef double value[STATES][STATES]
    cdef double later[STATES][STATES]
    cdef double cost[INPUTS][INPUTS]
    cdef double cross[INPUTS][STATES]
    cdef double lift[STATES][INPUTS]
    cdef Py_ssize_t step, i, j, h, k, index
    cdef Py_ssize_t n = home.n, m = home.m, hinges = home.hinges
    cdef double total, weight
    cdef const double* gain
    cdef const double* carry
    cdef double* root
    cdef double* back
    for i in range(n):
        for j in range(n):
            value[i][j] = 0.0
    for step in range(home.steps - 1, -1, -1):
        gain = home.gain + step * n * m
        carry = home.carry + step * n * n
        root = at.root + step * m * m
        back = at.back + step * m * n
        for k in range(hinges):
            index = step * hinges + k
            weight = home.weight[index]
            if weight > 0.0:
                at.over_y[index] = 1.0 / at.y[index]
                at.over_rest[index] = 1.0 / (weight - at.y[index])
                at.stiff[index] = 1.0 / (
                    at.p[index] * at.over_rest[index] + at.q[index] * at.over_y[index]
                )
                value[home.of[k]][home.of[k]] += at.stiff[index]
        at.over_idle[step] = 1.0 / at.idle[step]
        for i in range(n):
            for j in range(m):
                total = 0.0
                for h in range(n):
                    total += value[i][h] * gain[h * m + j]
                lift[i][j] = total
        for i in range(m):
            for j in range(i + 1):
                total = 0.0
                for h in range(n):
                    total += gain[h * m + i] * lift[h][j]
                if at.squeeze[step] > 0.0:
                    total += (
                        at.squeeze[step] * at.over_idle[step]
                        * home.busy[step * m + i] * home.busy[step * m + j]
                    )
                cost[i][j] = total
            index = step * m + i
            at.over_heat[index] = 1.0 / max(at.heat[index], TINY)
            at.over_room[index] = 1.0 / at.room[index]
            cost[i][i] += at.low[index] * at.over_heat[index]
            cost[i][i] += at.high[index] * at.over_room[index]
            for j in range(n):
                total = 0.0
                for h in range(n):
                    total += lift[h][i] * carry[h * n + j]
                cross[i][j] = total
        for i in range(m):
            if home.most[step * m + i] <= 0.0:
                for j in range(m):
                    if j <= i:
                        cost[i][j] = 0.0
                    else:
                        cost[j][i] = 0.0
                cost[i][i] = 1.0
                for j in range(n):
                    cross[i][j] = 0.0
        # Cholesky: cost = root root', the diagonal kept as its inverse
        for i in range(m):
            for j in range(i + 1):
                total = cost[i][j]
                for h in range(j):
                    total -= root[i * m + h] * root[j * m + h]
                if i == j:
                    root[i * m + i] = 1.0 / sqrt(max(total, TINY))
                else:
                    root[i * m + j] = total * root[j * m + j]
        for j in range(n):
            for i in range(m):
                back[i * n + j] = cross[i][j]
            solved(root, m, back + j, n)
        for i in range(n):
            for j in range(i + 1):
                total = 0.0
                for h in range(m):
                    total -= cross[h][i] * back[h * n + j]
                for h in range(n):
                    for k in range(n):
                        total += carry[h * n + i] * value[h][k] * carry[k * n + j]
                later[i][j] = total
        for i in range(n):
            for j in range(i + 1):
                value[i][j] = later[i][j]
                value[j][i] = later[i][j]


cdef inline void solved(
    const double* root, Py_ssize_t m, double* of, Py_ssize_t stride
) noexcept nogil:
    """Solve root root' z = of in place."""
    cdef Py_ssize_t i, j
    for i in range(m):
        for j in range(i):
            of[i * stride] -= root[i * m + j] * of[j * stride]
        of[i * stride] *= root[i * m + i]
    for i in range(m - 1, -1, -1):
        for j in range(i + 1, m):
            of[i * stride] -= root[j * m + i] * of[j * stride]
        of[i * stride] *= root[i * m + i]


cdef void newton(Home* home, Point* at) noexcept nogil:
    """(6): a step of (5) towards the products asked for."""
    cdef double slope[STATES]
    cdef double before[STATES]
    cdef double now[STATES]
    cdef Py_ssize_t step, i, j, k, index
    cdef Py_ssize_t n = home.n, m = home.m, hinges = home.hinges
    cdef double force, weight, total, y
    cdef double* feed
    cdef double* back
    for i in range(n):
        slope[i] = -home.worth[i]
    for step in range(home.steps - 1, -1, -1):
        feed = at.feed + step * m
        back = at.back + step * m * n
        for k in range(hinges):
            index = step * hinges + k
            weight = home.weight[index]
            if weight > 0.0:
                y = at.y[index]
                # what the force would be if the states stood still
                force = y + at.stiff[index] * (
                    at.p[index] - at.q[index]
                    + at.ty[index] * at.over_y[index] - at.tp[index] * at.over_rest[index]
                )
                at.dy[index] = force
                slope[home.of[k]] += home.side[k] * force
        for i in range(m):
            index = step * m + i
            if home.most[index] <= 0.0:
                feed[i] = 0.0
                continue
            total = home.price[step] * home.rate[index]
            total += at.thigh[index] * at.over_room[index] - at.tlow[index] * at.over_heat[index]
            if at.squeeze[step] > 0.0:
                total += home.busy[index] * at.tidle[step] * at.over_idle[step]
            for j in range(n):
                total += slope[j] * home.gain[(step * n + j) * m + i]
            feed[i] = total
        for i in range(n):
            total = 0.0
            for j in range(n):
                total += home.carry[(step * n + j) * n + i] * slope[j]
            for j in range(m):
                total -= back[j * n + i] * feed[j]
            before[i] = total
        for i in range(n):
            slope[i] = before[i]
        solved(at.root + step * m * m, m, feed, 1)
    for i in range(n):
        now[i] = 0.0
    for step in range(home.steps):
        feed = at.feed + step * m
        back = at.back + step * m * n
        total = 0.0
        for i in range(m):
            index = step * m + i
            at.dheat[index] = -feed[i]
            for j in range(n):
                at.dheat[index] -= back[i * n + j] * now[j]
            total -= home.busy[index] * at.dheat[index]
            if home.most[index] > 0.0:
                at.dlow[index] = (
                    at.tlow[index] - at.low[index] * at.dheat[index]
                ) * at.over_heat[index] - at.low[index]
                at.dhigh[index] = (
                    at.thigh[index] + at.high[index] * at.dheat[index]
                ) * at.over_room[index] - at.high[index]
        at.didle[step] = total
        if at.squeeze[step] > 0.0:
            at.dsqueeze[step] = (
                at.tidle[step] - at.squeeze[step] * total
            ) * at.over_idle[step] - at.squeeze[step]
        for i in range(n):
            before[i] = 0.0
            for j in range(n):
                before[i] += home.carry[(step * n + i) * n + j] * now[j]
            for j in range(m):
                before[i] += home.gain[(step * n + i) * m + j] * at.dheat[step * m + j]
        for i in range(n):
            now[i] = before[i]
        for k in range(hinges):
            index = step * hinges + k
            weight = home.weight[index]
            if weight > 0.0:
                # so far it holds the force with the states at rest
                at.dy[index] += (
                    at.stiff[index] * home.side[k] * now[home.of[k]] - at.y[index]
                )
                at.dq[index] = (
                    at.ty[index] - at.q[index] * at.dy[index]
                ) * at.over_y[index] - at.q[index]
                at.dp[index] = (
                    at.tp[index] + at.p[index] * at.dy[index]
                ) * at.over_rest[index] - at.p[index]


cdef inline double shorter(double far, double at, double by) noexcept nogil:
    return -at / by if at + far * by < 0.0 else far


cdef void lengths(Home* home, Point* at, double* primal, double* dual) noexcept nogil:
    """How far slacks, and multipliers, may go along a step before one of them is nothing."""
    cdef Py_ssize_t index, step
    cdef double one = 1e6, other = 1e6
    for index in range(home.steps * home.hinges):
        if home.weight[index] > 0.0:
            one = shorter(one, at.p[index], at.dp[index])
            one = shorter(one, at.q[index], at.dq[index])
            other = shorter(other, at.y[index], at.dy[index])
            other = shorter(other, home.weight[index] - at.y[index], -at.dy[index])
    for index in range(home.steps * home.m):
        if home.most[index] > 0.0:
            one = shorter(one, at.heat[index], at.dheat[index])
            one = shorter(one, at.room[index], -at.dheat[index])
            other = shorter(other, at.low[index], at.dlow[index])
            other = shorter(other, at.high[index], at.dhigh[index])
    for step in range(home.steps):
        if at.squeeze[step] > 0.0:
            one = shorter(one, at.idle[step], at.didle[step])
            other = shorter(other, at.squeeze[step], at.dsqueeze[step])
    primal[0] = one
    dual[0] = other


cdef void aims(Home* home, Point* at, double aim, bint second) noexcept nogil:
    """What products are to be: the aim, less what a first step's own products were."""
    cdef Py_ssize_t index, step
    cdef double off = 1.0 if second else 0.0
    for index in range(home.steps * home.hinges):
        at.ty[index] = aim - off * at.dy[index] * at.dq[index]
        at.tp[index] = aim + off * at.dy[index] * at.dp[index]
    for index in range(home.steps * home.m):
        at.tlow[index] = aim - off * at.dlow[index] * at.dheat[index]
        at.thigh[index] = aim + off * at.dhigh[index] * at.dheat[index]
    for step in range(home.steps):
        at.tidle[step] = aim - off * at.dsqueeze[step] * at.didle[step]


cdef void move(Home* home, Point* at, double primal, double dual) noexcept nogil:
    cdef Py_ssize_t index, step
    for index in range(home.steps * home.hinges):
        at.p[index] += primal * at.dp[index]
        at.q[index] += primal * at.dq[index]
        at.y[index] += dual * at.dy[index]
    for index in range(home.steps * home.m):
        at.heat[index] += primal * at.dheat[index]
        at.room[index] -= primal * at.dheat[index]
        at.low[index] += dual * at.dlow[index]
        at.high[index] += dual * at.dhigh[index]
    for step in range(home.steps):
        at.idle[step] += primal * at.didle[step]
        at.squeeze[step] += dual * at.dsqueeze[step]


cdef int search(
    Home* home, Point* at, double near, int limit, double* best, double* value, double* bound,
    double* spares, double* squeeze,
) noexcept nogil:
    """Follow the central path; return how many steps it took."""
    cdef Py_ssize_t index, step, pairs = 0
    cdef Py_ssize_t whole = home.steps * home.m
    cdef double mean, primal, dual, found, short, aim
    cdef int count = 0
    for index in range(home.steps * home.hinges):
        pairs += 2 * (home.weight[index] > 0.0)
    for index in range(whole):
        pairs += 2 * (home.most[index] > 0.0)
    for step in range(home.steps):
        pairs += at.squeeze[step] > 0.0
    memcpy(best, at.heat, whole * sizeof(double))
    value[0] = value_of(home, at.heat)
    bound[0] = bound_of(home, at.y, spares)
    memcpy(squeeze, at.squeeze, home.steps * sizeof(double))
    while count < limit and value[0] - bound[0] > near:
        count += 1
        mean = products(home, at, 0.0, 0.0) / max(pairs, 1)
        factor(home, at)
        # first as if every product could be nothing at once, to see how far that leads
        aims(home, at, 0.0, False)
        newton(home, at)
        lengths(home, at, &primal, &dual)
        found = products(home, at, min(primal, 1.0), min(dual, 1.0)) / max(pairs, 1)
        aim = mean * (found / mean) * (found / mean) * (found / mean)
        aims(home, at, aim, True)
        newton(home, at)
        lengths(home, at, &primal, &dual)
        short = max(SHORT, 1.0 - mean)
        move(home, at, min(short * primal, 1.0), min(short * dual, 1.0))
        found = value_of(home, at.heat)
        if found < value[0]:
            value[0] = found
            memcpy(best, at.heat, whole * sizeof(double))
        found = bound_of(home, at.y, at.tidle)
        if found > bound[0]:
            bound[0] = found
            memcpy(spares, at.tidle, home.steps * sizeof(double))
            memcpy(squeeze, at.squeeze, home.steps * sizeof(double))
        if not (primal > 1e-9 and dual > 1e-9):
            break
    return count


def solve(
    Py_ssize_t begin,
    Py_ssize_t end,
    const double[:, ::1] start,
    const double[:, :, :, ::1] carry,
    const double[:, :, :, ::1] gain,
    const double[:, :, ::1] drift,
    const double[:, :, ::1] most,
    const double[:, :, ::1] rate,
    const double[:, :, ::1] busy,
    const double[:, :, ::1] kink,
    const double[:, ::1] weight,
    const Py_ssize_t[::1] of,
    const double[::1] side,
    const double[:, ::1] worth,
    const double[:, ::1] price,
    const Py_ssize_t[::1] row,
    const double[:, ::1] own,
    const double[:, :, ::1] first,
    double target,
    double margin,
    double near,
    int limit,
    double[:, :, ::1] heat,
    double[:, :, ::1] state,
    double[:, ::1] power,
    double[::1] cost,
    double[::1] value,
    double[::1] bound,
    double[:, ::1] spares,
    double[:, ::1] squeeze,
    int[::1] count,
):
    """Fill the rows begin to end of the nine results."""
    cdef Py_ssize_t steps = carry.shape[1], n = carry.shape[2], m = gain.shape[3]
    cdef Py_ssize_t hinges = kink.shape[2]
    cdef Py_ssize_t size = needed(steps, n, m, hinges)
    cdef Py_ssize_t which, step, i
    cdef double* memory
    cdef double drawn, charged
    cdef double now[STATES]
    cdef double after[STATES]
    cdef Home home
    cdef Point at
    with nogil:
        memory = <double*> malloc((size + steps) * sizeof(double))
        if memory == NULL:
            with gil:
                raise MemoryError("no memory for the states of homes")
        at = laid(memory, steps, n, m, hinges)
        home.price = memory + size
        home.steps, home.n, home.m, home.hinges = steps, n, m, hinges
        home.weight = &weight[0, 0]
        home.of = &of[0]
        home.side = &side[0]
        for which in range(begin, end):
            memset(memory, 0, size * sizeof(double))
            home.start = &start[which, 0]
            home.carry = &carry[which, 0, 0, 0]
            home.gain = &gain[which, 0, 0, 0]
            home.drift = &drift[which, 0, 0]
            home.most = &most[which, 0, 0]
            home.rate = &rate[which, 0, 0]
            home.busy = &busy[which, 0, 0]
            home.kink = &kink[which, 0, 0]
            home.worth = &worth[which, 0]
            for step in range(steps):
                home.price[step] = price[row[which], step] + own[which, step]
            begin_at(&home, &at, &first[which, 0, 0], target, margin)
            count[which] = search(
                &home, &at, near, limit, &heat[which, 0, 0], &value[which], &bound[which],
                &spares[which, 0], &squeeze[which, 0],
            )
            charged = 0.0
            for i in range(n):
                now[i] = start[which, i]
            for step in range(steps):
                forwards(&home, &heat[which, 0, 0], step, now, after)
                drawn = 0.0
                for i in range(m):
                    drawn += rate[which, step, i] * heat[which, step, i]
                power[which, step] = drawn
                charged += price[row[which], step] * drawn
                for i in range(n):
                    now[i] = after[i]
                    state[which, step, i] = now[i]
            cost[which] = value[which] - charged
        free(memory)
