# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Store kernel: the cheapest heating of many stores given prices, without the interpreter's lock.

Called through :mod:`ext.store`, which validates, documents and has the maths; the readable
twin is :mod:`ext.store_reference`. The numbers of equations are those of the face.

A value function is two stacks of kinks, those left and those right of the switching target,
tops towards it. A kink is a position u and a rise r of the slope, of the temperature

    T = scale u + left_shift     (or right_shift)

and of the slope r / scale: both maps of a step, the shift (3) and the change of variable (4),
touch three numbers and no kink.
"""

from libc.math cimport INFINITY
from libc.stdlib cimport free, malloc
from libc.string cimport memmove

# The map is applied to all kinks when its scale is beyond this, so that no digits are lost.
cdef double RESCALE = 64.0
# So many places from the top are looked at one by one: a kink belongs there most often.
cdef Py_ssize_t NEAR = 24


cdef struct Kink:
    double at    # position u
    double rise  # of the slope, times scale


cdef struct Side:
    Kink* kinks  # from the bottom (far from the target) to the top
    Py_ssize_t bottom
    Py_ssize_t top  # one beyond the last
    double shift


cdef inline void insert(Side* side, double u, double rise, bint left) noexcept nogil:
    """Put a kink where it belongs: left kinks rise towards the top, right kinks fall."""
    cdef Kink* kinks = side.kinks
    cdef Py_ssize_t index = side.top, low = side.bottom, high, middle
    high = max(low, index - NEAR)
    while index > high and (kinks[index - 1].at > u if left else kinks[index - 1].at < u):
        kinks[index] = kinks[index - 1]
        index -= 1
    if index == high and index > low:
        while low < high:
            middle = (low + high) >> 1
            if (kinks[middle].at <= u) if left else (kinks[middle].at >= u):
                low = middle + 1
            else:
                high = middle
        memmove(&kinks[low + 1], &kinks[low], (index - low) * sizeof(Kink))
        index = low
    kinks[index].at = u
    kinks[index].rise = rise
    side.top += 1


cdef inline void apply(Side* side, double scale) noexcept nogil:
    """Turn u into temperatures and rises into slopes."""
    cdef Py_ssize_t index
    cdef double over = 1.0 / scale
    for index in range(side.bottom, side.top):
        side.kinks[index].at = scale * side.kinks[index].at + side.shift
        side.kinks[index].rise = side.kinks[index].rise * over
    side.shift = 0.0


cdef void backward(
    Py_ssize_t steps,
    Py_ssize_t parts,
    Py_ssize_t kinks,
    const double* decay,
    const double* gain,
    const double* drift,
    const double* most,
    const double* rate,
    const double* price,
    const double* own,
    const double* kink,
    const double* first,
    const double* rises,
    double worth,
    const double* coldest,
    const double* warmest,
    Side* left,
    Side* right,
    double* target,
) noexcept nogil:
    """Fill target (steps, parts): the temperature to which each part heats, at most."""
    cdef Py_ssize_t step, part, k
    cdef double scale = 1.0, over = 1.0, between = -worth, at, rise, cost, low, high, a, b, back
    left.bottom = left.top = right.bottom = right.top = 0
    left.shift = right.shift = 0.0
    for step in range(steps - 1, -1, -1):
        low = coldest[step]
        high = warmest[step]
        a = decay[step]
        b = gain[step]
        # what lies beyond reach is left out: it changes no slope within
        while left.bottom < left.top and scale * left.kinks[left.bottom].at + left.shift <= low:
            left.bottom += 1
        while right.bottom < right.top and (
            scale * right.kinks[right.bottom].at + right.shift >= high
        ):
            right.bottom += 1
        # (1) the step's own cost
        between += first[step]
        for k in range(kinks):
            at = kink[step * kinks + k]
            rise = rises[step * kinks + k]
            if at <= low:
                between += rise
            elif at < high and rise > 0:
                if right.top > right.bottom and (
                    at >= scale * right.kinks[right.top - 1].at + right.shift
                ):
                    insert(right, (at - right.shift) * over, rise * scale, False)
                else:
                    insert(left, (at - left.shift) * over, rise * scale, True)
                    between += rise
        # (2) and (3): each part of the heat, the cheapest first
        for part in range(parts):
            cost = -(price[step] + own[step]) * rate[step * parts + part] / b
            while between > cost and left.top > left.bottom:
                left.top -= 1
                rise = left.kinks[left.top].rise * over
                at = left.kinks[left.top].at + (left.shift - right.shift) * over
                if rise > between - cost:
                    # the kink is parted: what is left of it will move, the rest stays
                    insert(right, at, (between - cost) * scale, False)
                    left.kinks[left.top].rise = (rise - (between - cost)) * scale
                    left.top += 1
                    between = cost
                else:
                    insert(right, at, rise * scale, False)
                    between -= rise
            while between < cost and right.top > right.bottom:
                right.top -= 1
                rise = right.kinks[right.top].rise * over
                at = right.kinks[right.top].at + (right.shift - left.shift) * over
                if rise > cost - between:
                    insert(left, at, (cost - between) * scale, True)
                    right.kinks[right.top].rise = (rise - (cost - between)) * scale
                    right.top += 1
                    between = cost
                else:
                    insert(left, at, rise * scale, True)
                    between += rise
            if between < cost:
                at = INFINITY
            elif left.top == left.bottom:
                at = -INFINITY
            else:
                at = scale * left.kinks[left.top - 1].at + left.shift
            target[step * parts + part] = at
            left.shift -= b * most[step * parts + part]
        # (4) as a function of the temperature before the step
        if a == 0.0:
            left.bottom = left.top = right.bottom = right.top = 0
            between = 0.0
            continue
        back = 1.0 / a
        scale = scale * back
        over = over * a
        left.shift = (left.shift - drift[step]) * back
        right.shift = (right.shift - drift[step]) * back
        between = between * a
        if scale > RESCALE:
            apply(left, scale)
            apply(right, scale)
            scale = over = 1.0


def solve(
    Py_ssize_t begin,
    Py_ssize_t end,
    const double[::1] start,
    const double[:, ::1] decay,
    const double[:, ::1] gain,
    const double[:, ::1] drift,
    const double[:, :, ::1] most,
    const double[:, :, ::1] rate,
    const double[:, ::1] price,
    const Py_ssize_t[::1] row,
    const double[:, ::1] own,
    const double[:, :, ::1] kink,
    const double[:, ::1] slope,
    const double[::1] worth,
    double[:, ::1] heat,
    double[:, ::1] power,
    double[:, ::1] temperature,
    double[::1] cost,
    double[::1] value,
):
    """Fill the rows begin to end of the five results."""
    cdef Py_ssize_t steps = decay.shape[1], parts = most.shape[2], kinks = kink.shape[2]
    cdef Py_ssize_t room = (kinks + parts) * steps + kinks + parts + 8
    cdef Py_ssize_t home, step, part, k
    cdef Side left, right
    cdef double* memory
    cdef double* coldest
    cdef double* warmest
    cdef double* target
    cdef double* first
    cdef double* rises
    cdef double* below
    cdef double* above
    cdef double now, hot, given, drawn, total, charged, h, edge, whole, low, high
    with nogil:
        memory = <double*> malloc((4 * room + (3 + parts + 3 * kinks) * steps) * sizeof(double))
        if memory == NULL:
            with gil:
                raise MemoryError("no memory for the value functions of stores")
        left.kinks = <Kink*> memory
        right.kinks = <Kink*> (memory + 2 * room)
        coldest = memory + 4 * room
        warmest = coldest + steps
        target = warmest + steps
        first = target + parts * steps
        rises = first + steps
        below = rises + kinks * steps
        above = below + kinks * steps
        for step in range(steps):
            first[step] = slope[step, 0]
            for k in range(kinks):
                low = slope[step, k]
                high = slope[step, k + 1]
                rises[step * kinks + k] = high - low
                below[step * kinks + k] = min(high, 0.0) - min(low, 0.0)
                above[step * kinks + k] = max(high, 0.0) - max(low, 0.0)
        for home in range(begin, end):
            now = hot = start[home]
            for step in range(steps):
                h = 0.0
                for part in range(parts):
                    h += most[home, step, part]
                now = decay[home, step] * now + drift[home, step]
                hot = decay[home, step] * hot + drift[home, step] + gain[home, step] * h
                coldest[step] = now
                warmest[step] = hot
            backward(
                steps, parts, kinks, &decay[home, 0], &gain[home, 0], &drift[home, 0],
                &most[home, 0, 0], &rate[home, 0, 0], &price[row[home], 0], &own[home, 0],
                &kink[home, 0, 0], first, rises, worth[home], coldest, warmest,
                &left, &right, target,
            )
            now = start[home]
            total = 0.0
            charged = 0.0
            for step in range(steps):
                now = decay[home, step] * now + drift[home, step]
                drawn = 0.0
                whole = 0.0
                for part in range(parts - 1, -1, -1):
                    h = most[home, step, part]
                    given = (target[step * parts + part] - now) / gain[home, step]
                    if not given > 0.0:
                        continue
                    if given < h:
                        h = given
                        now = target[step * parts + part]
                    else:
                        now = now + gain[home, step] * h
                    whole += h
                    drawn += h * rate[home, step, part]
                heat[home, step] = whole
                power[home, step] = drawn
                temperature[home, step] = now
                charged += price[row[home], step] * drawn
                total += own[home, step] * drawn
                # (1): nothing where the slope passes 0, rising on both sides
                for k in range(kinks):
                    edge = kink[home, step, k] - now
                    if edge > 0.0:
                        total += below[step * kinks + k] * edge
                    else:
                        total -= above[step * kinks + k] * edge
            cost[home] = total - worth[home] * now
            value[home] = cost[home] + charged
        free(memory)
