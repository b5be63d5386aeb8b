"""A bandwidth market for migrating the digital twins of UAVs between road-side units."""

import re
from pkgutil import extend_path

from uav_twin_migration.shipped import shipped_file

# rosidl installs the generated msg/, srv/ and action/ modules under this package's name, elsewhere on sys.path.
__path__ = extend_path(__path__, __name__)


def _version() -> str:
    """What package.xml says, the one place that names the version: in a checkout, or installed beside this package."""
    file = shipped_file("package.xml")
    found = re.search(r"<version>([^<]+)</version>", file.read_text(encoding="utf-8")) if file else None
    return found.group(1) if found else "unknown"


__version__ = _version()
