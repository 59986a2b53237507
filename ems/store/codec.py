"""Domain values to bytes and back, exactly.

A value becomes a JSON head, in which each array is a number, followed by the
arrays as float64; both compressed. Types come from the annotations of the
dataclasses: a field added later with a default reads as that default from older
rows, so plans and forecasts may grow without a new schema.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from ems.domain.errors import InvalidInputError
from ems.domain.time import require_utc

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000
_HEAD_LENGTH = 4


def to_us(instant: datetime, field: str) -> int:
    """Return an instant as microseconds since the epoch; it must be aware and in UTC."""
    passed = require_utc(instant, field) - _EPOCH
    return passed.days * _DAY_US + passed.seconds * 1_000_000 + passed.microseconds


def from_us(microseconds: int) -> datetime:
    """Return the instant (UTC) that is so many microseconds after the epoch."""
    return _EPOCH + timedelta(microseconds=microseconds)


def pack(value: Any) -> bytes:
    """Return a dataclass with arrays as compact bytes."""
    arrays: list[NDArray[np.float64]] = []
    plain = _plain(value, arrays)
    head = json.dumps([[list(array.shape) for array in arrays], plain], separators=(",", ":"))
    encoded = head.encode()
    parts = [len(encoded).to_bytes(_HEAD_LENGTH, "little"), encoded]
    parts += [array.tobytes() for array in arrays]
    return zlib.compress(b"".join(parts), 1)


def unpack(cls: type[T], data: bytes) -> T:
    """Return the dataclass that `pack` made ``data`` of."""
    raw = zlib.decompress(data)
    start = _HEAD_LENGTH + int.from_bytes(raw[:_HEAD_LENGTH], "little")
    shapes, plain = json.loads(raw[_HEAD_LENGTH:start])
    arrays: list[NDArray[np.float64]] = []
    for shape in shapes:
        count = int(np.prod(shape))
        flat = np.frombuffer(raw, dtype="<f8", count=count, offset=start)
        arrays.append(flat.reshape(shape).astype(np.float64))
        start += 8 * count
    return cast(T, _typed(cls, plain, arrays))


def to_json(value: Any) -> str:
    """Return a dataclass without arrays as JSON text."""
    return json.dumps(_plain(value, None), separators=(",", ":"))


def from_json(cls: type[T], text: str) -> T:
    """Return the dataclass that `to_json` made ``text`` of."""
    return cast(T, _typed(cls, json.loads(text), []))


def _plain(value: Any, arrays: list[NDArray[np.float64]] | None) -> Any:  # noqa: PLR0911 - one return a kind of value
    if value is None or (isinstance(value, str) and not isinstance(value, Enum)):
        return value
    if isinstance(value, np.ndarray):
        if arrays is None:
            raise TypeError("an array cannot be kept as JSON text")
        arrays.append(np.ascontiguousarray(value, dtype="<f8"))
        return len(arrays) - 1
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return to_us(value, "instant")
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list):
        return [_plain(item, arrays) for item in value]
    if isinstance(value, Mapping):
        return [[_plain(key, arrays), _plain(item, arrays)] for key, item in value.items()]
    if is_dataclass(value):
        plain = {field.name: _plain(getattr(value, field.name), arrays) for field in fields(value)}
        return {"": type(value).__name__, **plain}
    return value


def _typed(hint: Any, plain: Any, arrays: list[NDArray[np.float64]]) -> Any:  # noqa: PLR0911 - one return a kind of type
    origin = get_origin(hint)
    # From Python 3.12 on, NumPy's NDArray is an alias that stays unresolved.
    origin = get_origin(getattr(origin, "__value__", None)) or origin
    if origin in (Union, UnionType):
        if plain is None:
            return None
        options = [option for option in get_args(hint) if option is not NoneType]
        if len(options) > 1:
            options = [option for option in options if option.__name__ == plain[""]]
        return _typed(options[0], plain, arrays)
    if origin is np.ndarray:
        return arrays[plain]
    if origin is tuple:
        items = get_args(hint)
        return tuple(_typed(items[0], item, arrays) for item in plain)
    if origin is not None and issubclass(origin, Mapping):
        keys, values = get_args(hint)
        return {_typed(keys, key, arrays): _typed(values, item, arrays) for key, item in plain}
    if not isinstance(hint, type):
        return plain
    if is_dataclass(hint):
        hints = _hints(hint)
        return hint(
            **{
                name: _typed(hints[name], item, arrays)
                for name, item in plain.items()
                if name in hints
            }
        )
    if issubclass(hint, datetime):
        return from_us(plain)
    if issubclass(hint, Enum):
        return hint(plain)
    if hasattr(hint, "_fields"):
        return hint(*plain)
    return plain


@lru_cache(maxsize=64)
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def require_finite(number: float, field: str) -> float:
    """Return ``number`` if it is finite, else raise `InvalidInputError`."""
    if not np.isfinite(number):
        raise InvalidInputError(
            "must be a finite number",
            field=field,
            value=number,
            remedy="A setpoint always names a value.",
        )
    return float(number)
