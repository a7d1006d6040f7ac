"""Apache Kafka's official image as a broker for tests, where a container engine answers."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.kafka_broker import PROPERTIES, START_TIMEOUT_S, VERSION, Broker, free_ports

SOCKET = Path("/var/run/docker.sock")


def engine_fault() -> str:
    """Why no container can be started here; empty when one can."""
    if "DOCKER_HOST" not in os.environ and not SOCKET.exists():
        return f"no container engine: DOCKER_HOST is not set, and there is no {SOCKET}"
    import docker  # after the look at the socket: a client that finds none leaves a warning

    try:
        client = docker.from_env()
        client.ping()
        client.close()
    except docker.errors.DockerException as error:
        return f"the container engine does not answer: {error}"
    return ""


class KafkaContainer(Broker):
    """A broker in a container of `apache/kafka`, with the settings of those that run without one."""

    def __init__(self) -> None:
        port, controller_port = free_ports(2)
        super().__init__(f"127.0.0.1:{port}")
        from testcontainers.core.container import DockerContainer  # looks for an engine as soon as it is imported

        listeners = f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://0.0.0.0:{controller_port}"
        properties = {
            **{name: value for name, value in PROPERTIES.items() if name != "log.dirs"},
            "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
            "listeners": listeners,
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        }
        self._container: Any = DockerContainer(f"apache/kafka:{VERSION}").with_bind_ports(port, port)
        for name, value in properties.items():
            self._container.with_env(f"KAFKA_{name.upper().replace('.', '_')}", value)

    def start(self) -> KafkaContainer:
        """Start it and wait until it answers."""
        self._container.start()
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                admin.list_topics(timeout=1)
                return self
            except KafkaException:
                logs = self._container.get_logs()
                assert time.monotonic() < deadline_s, f"no broker within {START_TIMEOUT_S:g} s: {logs}"

    def close(self) -> None:
        """End it."""
        self._container.stop()
