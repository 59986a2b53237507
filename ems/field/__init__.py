"""The simulated estate: physics of homes and devices, and Modbus servers in front of it.

Hidden parameters live here and nowhere else; control and forecasting see a home
only through its registers. May import :mod:`ems.domain`, :mod:`ems.settings` and
:mod:`drivers`; only the command line and :mod:`ems.demo` may import it.

``parameters`` reads the field's file, ``traits`` draws what differs by home,
``sun``, ``sources`` and ``days`` make what happens to a home from outside,
``physics`` steps homes and heat pumps, ``storage`` the batteries, ``simulation``
joins them behind devices and points, ``faults`` and ``control`` break things on
command, ``images`` and ``modbus`` answer on a socket, ``checkpoint`` and ``process``
keep it running.
"""
