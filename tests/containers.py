"""Whether this machine can run containers: what tests on the official images need."""

from __future__ import annotations

import os
import socket
from importlib.util import find_spec
from urllib.parse import urlsplit

import pytest


def need_containers() -> None:
    """Skip the test, and say what lacks, unless testcontainers is installed and a container engine answers."""
    if find_spec("testcontainers") is None:
        pytest.skip("NOT TESTED HERE: the package testcontainers is not installed")
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    url = urlsplit(host)
    try:
        # Asked here, since docker's client leaves its socket open where nobody answers.
        if url.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(url.path)
        else:
            socket.create_connection((url.hostname or "", url.port or 2375), timeout=5.0).close()
    except OSError as error:
        pytest.skip(f"NOT TESTED HERE: no container engine answers at {host} ({error.strerror})")
