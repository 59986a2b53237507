"""The roof: the control and guard processes, wired from the parts below.

``jobs`` says when things happen, ``image`` holds the latest readings, one module
a job does them (``polling``, ``forecasting_job``, ``planning``, ``dispatching``,
``housekeeping``), ``control`` wires them into the control process and ``guard``
is the small process that hands devices back when control is silent. The
simulated field is out of bounds here: control knows a home only by its
configuration and its readings.
"""
