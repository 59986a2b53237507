# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""On/off kernel: when heat pumps that are on or off are best run, without the interpreter's lock.

Called through :mod:`ext.onoff`, which validates, documents and has the maths; the readable twin is
:mod:`ext.onoff_reference`. States of a heat pump are numbered: 0 .. wait_on − 1 is on with so many
further steps that it must stay on, then the same of off.
"""

from libc.math cimport INFINITY
from libc.stdlib cimport free, malloc


cdef struct Home:
    Py_ssize_t steps
    Py_ssize_t levels
    Py_ssize_t kinks
    Py_ssize_t points
    Py_ssize_t states_on
    Py_ssize_t states
    const double* decay
    const double* gain
    const double* drift
    const double* heat
    const double* charge
    const double* kink
    const double* below
    const double* above
    const unsigned char* must_on
    const unsigned char* must_off
    const long long* lasts_on
    const long long* lasts_off
    double start_cost
    double* low      # first point of the grid after each step
    double* width    # distance of its points
    double* value    # (steps + 1, states, points)


cdef struct Place:
    Py_ssize_t point
    double share


cdef inline double stage(Home* home, Py_ssize_t step, double at) noexcept nogil:
    cdef double cost = 0.0, away
    cdef Py_ssize_t k
    for k in range(step * home.kinks, (step + 1) * home.kinks):
        away = home.kink[k] - at
        cost += home.below[k] * away if away > 0.0 else -home.above[k] * away
    return cost


cdef inline Place locate(Home* home, Py_ssize_t step, double at) noexcept nogil:
    """Return where a temperature lies in the grid of step; beyond it, the last piece goes on."""
    cdef Place place
    cdef double position = (at - home.low[step]) / home.width[step]
    cdef Py_ssize_t last = home.points - 2
    if position <= 0.0:
        place.point = 0
    elif position >= last:
        place.point = last
    else:
        place.point = <Py_ssize_t> position
    place.share = position - place.point
    return place


cdef inline double read(Home* home, Py_ssize_t step, Py_ssize_t state, Place place) noexcept nogil:
    cdef double* row = home.value + (step * home.states + state) * home.points + place.point
    return row[0] + place.share * (row[1] - row[0])


cdef inline double best_on(
    Home* home, Py_ssize_t step, Py_ssize_t state, double coast, Py_ssize_t* level
) noexcept nogil:
    """Return the least cost of running in step and being in state after it."""
    cdef double least = INFINITY, cost, at
    cdef Py_ssize_t k, index = step * home.levels
    for k in range(home.levels):
        at = coast + home.gain[step] * home.heat[index + k]
        cost = home.charge[index + k] + stage(home, step, at)
        cost += read(home, step + 1, state, locate(home, step + 1, at))
        if cost < least:
            least = cost
            level[0] = k
    return least


cdef inline double best_off(
    Home* home, Py_ssize_t step, Py_ssize_t state, double coast
) noexcept nogil:
    cdef double cost = stage(home, step, coast)
    return cost + read(home, step + 1, state, locate(home, step + 1, coast))


cdef double decide(
    Home* home, Py_ssize_t step, Py_ssize_t state, double coast,
    Py_ssize_t* after, Py_ssize_t* level,
) noexcept nogil:
    """Return the least cost from step on, the state after it and the level it runs at."""
    cdef bint on = state < home.states_on
    cdef Py_ssize_t wait = state if on else state - home.states_on
    cdef Py_ssize_t stay, change = 0, other = 0
    cdef double kept = INFINITY, changed = INFINITY
    stay = state - 1 if wait > 0 else state
    if on:
        if not home.must_off[step]:
            kept = best_on(home, step, stay, coast, level)
        if wait == 0 and not home.must_on[step]:
            change = home.states_on + home.lasts_off[step] - 1
            changed = best_off(home, step, change, coast)
        if changed < kept:
            level[0] = -1
            after[0] = change
            return changed
    else:
        level[0] = -1
        if not home.must_on[step]:
            kept = best_off(home, step, stay, coast)
        if wait == 0 and not home.must_off[step]:
            change = home.lasts_on[step] - 1
            changed = best_on(home, step, change, coast, &other) + home.start_cost
        if changed < kept:
            level[0] = other
            after[0] = change
            return changed
    after[0] = stay
    return kept


def solve(
    Py_ssize_t begin,
    Py_ssize_t end,
    Py_ssize_t first,
    Py_ssize_t points,
    const double[::1] start,
    const double[:, ::1] decay,
    const double[:, ::1] gain,
    const double[:, ::1] drift,
    const double[:, :, ::1] heat,
    const double[:, :, ::1] charge,
    const double[:, :, ::1] kink,
    const double[:, ::1] below,
    const double[:, ::1] above,
    const double[::1] worth,
    const double[::1] start_cost,
    const unsigned char[::1] on,
    const unsigned char[:, ::1] must_on,
    const unsigned char[:, ::1] must_off,
    const long long[:, ::1] lasts_on,
    const long long[:, ::1] lasts_off,
    const double[:, ::1] low,
    const double[:, ::1] width,
    Py_ssize_t states_on,
    Py_ssize_t states_off,
    double[:, ::1] given,
    double[:, ::1] running,
    double[:, ::1] temperature,
    double[::1] cost,
    double[::1] value,
):
    """Fill the rows begin to end of the five results: those of the homes from first on."""
    cdef Home home
    cdef Py_ssize_t row, step, point, state, after = 0, level = 0
    cdef double now, total, coast
    cdef double* memory
    home.steps = decay.shape[1]
    home.levels = heat.shape[2]
    home.kinks = kink.shape[2]
    home.points = points
    home.states_on = states_on
    home.states = states_on + states_off
    home.below = &below[0, 0]
    home.above = &above[0, 0]
    with nogil:
        memory = <double*> malloc(
            ((home.steps + 1) * (home.states * points + 2)) * sizeof(double)
        )
        if memory == NULL:
            with gil:
                raise MemoryError("no memory for the value functions of heat pumps")
        home.value = memory
        home.low = memory + (home.steps + 1) * home.states * points
        home.width = home.low + home.steps + 1
        for row in range(begin, end):
            home.decay = &decay[first + row, 0]
            home.gain = &gain[first + row, 0]
            home.drift = &drift[first + row, 0]
            home.heat = &heat[first + row, 0, 0]
            home.charge = &charge[row, 0, 0]
            home.kink = &kink[first + row, 0, 0]
            home.must_on = &must_on[first + row, 0]
            home.must_off = &must_off[first + row, 0]
            home.lasts_on = &lasts_on[first + row, 0]
            home.lasts_off = &lasts_off[first + row, 0]
            home.start_cost = start_cost[first + row]
            for step in range(home.steps + 1):
                home.low[step] = low[first + row, step]
                home.width[step] = width[first + row, step]
            for state in range(home.states):
                for point in range(points):
                    now = home.low[home.steps] + point * home.width[home.steps]
                    memory[(home.steps * home.states + state) * points + point] = (
                        -worth[first + row] * now
                    )
            for step in range(home.steps - 1, 0, -1):
                for point in range(points):
                    now = home.low[step] + point * home.width[step]
                    coast = home.decay[step] * now + home.drift[step]
                    for state in range(home.states):
                        memory[(step * home.states + state) * points + point] = decide(
                            &home, step, state, coast, &after, &level
                        )
            now = start[first + row]
            total = 0.0
            state = 0 if on[first + row] else states_on
            for step in range(home.steps):
                coast = home.decay[step] * now + home.drift[step]
                if step == 0:
                    value[row] = decide(&home, step, state, coast, &after, &level)
                else:
                    decide(&home, step, state, coast, &after, &level)
                given[row, step] = 0.0
                running[row, step] = 0.0
                now = coast
                if level >= 0:
                    given[row, step] = home.heat[step * home.levels + level]
                    running[row, step] = 1.0
                    now = coast + home.gain[step] * given[row, step]
                    if state >= states_on:
                        total += home.start_cost
                temperature[row, step] = now
                total += stage(&home, step, now)
                state = after
            cost[row] = total - worth[first + row] * now
        free(memory)
