"""What a process prints as JSON, a line each: for collectors of logs that ask for it.

ROS 2 formats its log lines itself and escapes nothing, so they are made to carry separators that no text has, and a
thread makes JSON of them. What others print (a library, a last word of Python's) is a line with `message` alone.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time

START, BETWEEN = "\x1e", "\x1f"  # ASCII's separators of records and units
FORMAT = f"{START}{{severity}}{BETWEEN}{{time}}{BETWEEN}{{name}}{BETWEEN}{{message}}"  # of rcutils
STAMP = re.compile(r"\d{1,12}(\.\d+)?")


def as_json(line: str, now: float) -> str:
    """A printed line. now: s since 1970, for lines that do not say when."""
    parts = line.removeprefix(START).split(BETWEEN, 3)
    if line.startswith(START) and len(parts) == 4 and STAMP.fullmatch(parts[1]):
        severity, stamp, name, message = parts
        return json.dumps({"time": float(stamp), "level": severity.lower(), "node": name, "message": message})
    return json.dumps({"time": now, "level": "info", "message": line})


def print_json() -> None:
    """Whatever this process prints from here on comes out as JSON, on standard output. Before rclpy is imported."""
    os.environ["RCUTILS_CONSOLE_OUTPUT_FORMAT"] = FORMAT
    os.environ["RCUTILS_COLORIZED_OUTPUT"] = "0"
    out = os.dup(1)
    end, begin = os.pipe()
    for stream in (1, 2):
        os.dup2(begin, stream)
    os.close(begin)
    threading.Thread(target=_carry, args=(end, out), name="log", daemon=True).start()


def _carry(end: int, out: int) -> None:
    with os.fdopen(end, "r", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.strip():
                os.write(out, f"{as_json(line.rstrip(), time.time())}\n".encode())
