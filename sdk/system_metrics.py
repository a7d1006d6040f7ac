"""Samples of the machine while a run is open: CPU, memory, disk, network and, where there is one, the GPU."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil

logger = logging.getLogger("headrace")

_MEGABYTE = 1e6


class Sampler:
    """Reads the machine; names and units are MLflow's. Rates count from the sample before."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()
        psutil.cpu_percent()
        self._before_s = time.monotonic()
        self._disk = psutil.disk_io_counters()
        self._network = psutil.net_io_counters()
        self._gpus = _gpus()

    def sample(self) -> dict[str, float]:
        """One sample, a value a metric."""
        now_s = time.monotonic()
        elapsed_s = max(now_s - self._before_s, 1e-6)
        self._before_s = now_s
        memory = psutil.virtual_memory()
        usage = psutil.disk_usage("/")
        values = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / _MEGABYTE,
            "system_memory_usage_percentage": memory.percent,
            "disk_usage_megabytes": usage.used / _MEGABYTE,
            "disk_usage_percentage": usage.percent,
            "disk_available_megabytes": usage.free / _MEGABYTE,
            "process_cpu_utilization_percentage": self._process.cpu_percent(),
            "process_memory_usage_megabytes": self._process.memory_info().rss / _MEGABYTE,
        }
        disk, network = psutil.disk_io_counters(), psutil.net_io_counters()
        if disk is not None and self._disk is not None:
            values["disk_read_megabytes_per_second"] = (disk.read_bytes - self._disk.read_bytes) / _MEGABYTE / elapsed_s
            values["disk_write_megabytes_per_second"] = (
                (disk.write_bytes - self._disk.write_bytes) / _MEGABYTE / elapsed_s
            )
        if network is not None and self._network is not None:
            received = network.bytes_recv - self._network.bytes_recv
            sent = network.bytes_sent - self._network.bytes_sent
            values["network_receive_megabytes"] = received / _MEGABYTE
            values["network_transmit_megabytes"] = sent / _MEGABYTE
            values["network_receive_megabytes_per_second"] = received / _MEGABYTE / elapsed_s
            values["network_transmit_megabytes_per_second"] = sent / _MEGABYTE / elapsed_s
        self._disk, self._network = disk, network
        for index, handle in enumerate(self._gpus):
            values.update(_gpu_sample(index, handle))
        return {f"system/{name}": float(value) for name, value in values.items()}


def _gpus() -> list[Any]:
    """Handles of the GPUs NVML knows; none without NVML."""
    try:
        import pynvml  # the optional extra headrace[gpu]
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError as error:
        logger.info("no GPU metrics: %s", error)
        return []


def _gpu_sample(index: int, handle: Any) -> dict[str, float]:
    import pynvml

    values: dict[str, float] = {}
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
        values[f"gpu_{index}_memory_usage_megabytes"] = memory.used / _MEGABYTE
        values[f"gpu_{index}_memory_usage_percentage"] = 100.0 * memory.used / memory.total
        values[f"gpu_{index}_utilization_percentage"] = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
        watts = pynvml.nvmlDeviceGetPowerUsage(handle) / 1000
        values[f"gpu_{index}_power_usage_watts"] = watts
        values[f"gpu_{index}_power_usage_percentage"] = (
            100.0 * watts * 1000 / pynvml.nvmlDeviceGetEnforcedPowerLimit(handle)
        )
    except pynvml.NVMLError:
        pass  # a card that does not tell some of it still gives the rest
    return values


class _Monitor:
    """The thread that samples for one run; its step is the sample's number."""

    def __init__(self, run_id: str, interval_s: float, log_metric: Callable[..., None]) -> None:
        self._run_id = run_id
        self._interval_s = interval_s
        self._log_metric = log_metric
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="headrace-system-metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        try:
            sampler = Sampler()
            step = 0
            while not self._stop.wait(self._interval_s):
                for key, value in sampler.sample().items():
                    self._log_metric(key, value, step=step, run_id=self._run_id)
                step += 1
        except Exception as error:  # a machine that hides its counters must not end a training
            logger.warning("no more system metrics for run %s: %s", self._run_id, error)


_monitors: dict[str, _Monitor] = {}


def start(run_id: str, interval_s: float, log_metric: Callable[..., None]) -> None:
    """Sample for this run until `stop`."""
    _monitors[run_id] = _Monitor(run_id, interval_s, log_metric)


def stop(run_id: str) -> None:
    """No more samples for this run."""
    monitor = _monitors.pop(run_id, None)
    if monitor is not None:
        monitor.stop()


def forget() -> None:
    """In a forked child: the threads are the parent's."""
    _monitors.clear()
