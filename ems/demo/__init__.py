"""The demonstration: history before the start, and all processes under one roof.

``history`` makes the weeks before the start with the field's own physics, without
sockets; ``supervisor`` starts field, control, guard and web as processes, restarts
what dies and ends all of them together. Only this package and the command line know
both the simulated field and the service.
"""
