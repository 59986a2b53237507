"""Devices: profile → block plan → bus → decode → reading; commands with outcome.

``codec`` values ↔ registers, pure · ``blocks`` which registers to read together, pure ·
``images`` replies of many devices to values, pure · ``quality`` what counters and live
measurements may do, pure · ``judging`` what a device's values are worth · ``frames`` requests
and replies as bytes, pure · ``transport`` one connection, over pymodbus · ``line`` one gateway's
shared connection · ``session`` one device on it · ``poller`` a round over a gateway's devices ·
``commands`` writes with read-back · ``orders`` what a command means for a device ·
``exchange`` asking during a command · ``keeping`` repeats what devices forget between rounds ·
``permission`` what may be written at all · ``write_memory`` when and how often points were ·
``modbus_bus`` the :class:`~ems.domain.ports.FieldBus` of these ·
``dry_run`` one that writes nothing.

May import ``ext`` and ``ems.domain``; the service and the simulated field import it.
"""

from drivers.modbus_bus import ModbusFieldBus, open_bus

__all__ = ["ModbusFieldBus", "open_bus"]
