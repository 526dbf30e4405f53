"""Which version of wenju runs."""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """Return the version of the installed distribution, "source" where there is none."""
    try:
        return metadata.version("wenju")
    except metadata.PackageNotFoundError:
        return "source"
