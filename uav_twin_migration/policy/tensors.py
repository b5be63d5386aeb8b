"""The safetensors format in numpy: named float32 arrays and a dictionary of strings, in one file that executes nothing.

Layout: the header's length (8 bytes, little endian), the header (JSON: for each tensor its dtype, shape and the range
of its bytes; strings under ``__metadata__``), then all tensors' bytes without gaps. The format's own library is in few
distributions, and an RSU should need nothing that rosdep cannot install; a test holds the two together.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from uav_twin_migration.bounded import read_json

Single = npt.NDArray[np.float32]
LARGEST_HEADER = 1 << 20  # bytes
MOST_DIMENSIONS = 4


def to_bytes(tensors: Mapping[str, Single], metadata: Mapping[str, str]) -> bytes:
    """The file. The same content gives the same bytes."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    content, end = [], 0
    for name, values in tensors.items():
        data = np.asarray(values, dtype="<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [end, end + len(data)]}
        content.append(data)
        end += len(data)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *content])


def from_bytes(data: bytes) -> tuple[dict[str, Single], dict[str, str]]:
    """Tensors and metadata. Raises ValueError where the file is cut off, damaged or holds anything but float32."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise ValueError("the file ends within its header")
    try:
        header = read_json(data[8 : 8 + length], LARGEST_HEADER)
    except ValueError as error:
        raise ValueError(f"its header is no JSON ({error})") from None
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are no strings")
    body = memoryview(data)[8 + length :]
    tensors = {name: _tensor(name, entry, body) for name, entry in header.items()}
    if sum(values.nbytes for values in tensors.values()) != len(body):
        raise ValueError("its tensors leave gaps or overlap")
    return tensors, metadata


def _tensor(name: str, entry: Any, body: memoryview) -> Single:
    try:
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{name}: no dtype, shape and data_offsets") from None
    if dtype != "F32":
        raise ValueError(f"{name}: its dtype is not F32")
    if not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"{name}: no dtype, shape and data_offsets, or more than {MOST_DIMENSIONS} dimensions")
    sizes = [*shape, begin, end]
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise ValueError(f"{name}: a size or an offset is no natural number")
    if max(sizes) > len(body) or end - begin != 4 * math.prod(shape):
        raise ValueError(f"{name}: its bytes are not all there")
    values: Single = np.frombuffer(body[begin:end], dtype="<f4").astype(np.float32).reshape(shape)
    return values
