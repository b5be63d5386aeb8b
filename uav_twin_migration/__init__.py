"""A bandwidth market for migrating the digital twins of UAVs between road-side units."""

from pkgutil import extend_path

# rosidl installs the generated msg/, srv/ and action/ modules under this package's name, elsewhere on sys.path.
__path__ = extend_path(__path__, __name__)

__version__ = "0.1.0"
