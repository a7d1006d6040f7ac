"""The version of this distribution."""

from __future__ import annotations

from importlib import metadata

try:
    VERSION = metadata.version("headrace")
except metadata.PackageNotFoundError:  # run from a source tree that is not installed
    VERSION = "0.0.0"
