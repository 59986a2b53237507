"""How a gateway is reached beyond an address: serial lines and certificates."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Parity(StrEnum):
    """Parity bit of a serial line."""

    NONE = "none"
    EVEN = "even"
    ODD = "odd"


@dataclass(frozen=True, slots=True)
class SerialLine:
    """An RS-485 line on this computer; bytes have eight data bits, as Modbus RTU wants.

    Attributes
    ----------
    device
        Its device file, e.g. ``/dev/ttyUSB0``.
    baud_rate
        Speed [bit/s].
    parity, stop_bits
        As set on every device of the line. The Modbus default is even parity and one
        stop bit; without parity, many devices want two.
    """

    device: str
    baud_rate: int = 19200
    parity: Parity = Parity.EVEN
    stop_bits: int = 1

    @property
    def character_s(self) -> float:
        """Time of one character on the wire [s]: start, data, parity and stop bits."""
        bits = 9 + (self.parity is not Parity.NONE) + self.stop_bits
        return bits / self.baud_rate

    @property
    def silence_s(self) -> float:
        """Least silence between two frames [s]: 3.5 characters, 1.75 ms above 19200 bit/s.

        Source: MODBUS over Serial Line 1.02, section 2.5.1.1.
        """
        return 3.5 * self.character_s if self.baud_rate <= 19200 else 1.75e-3


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What Modbus/TCP Security needs: both sides show a certificate.

    Attributes
    ----------
    ca
        Certificates of those who may vouch for the gateway, PEM.
    certificate, key
        Hearth's own certificate, with what leads to its issuer, and its key, PEM.
    server_name
        The name in the gateway's certificate; ``None`` where it is the gateway's host.
    """

    ca: Path
    certificate: Path
    key: Path
    server_name: str | None = None
