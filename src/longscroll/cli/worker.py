"""``longscroll worker``: parsers beside a running service, as a process of their own; any number on one data folder."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from longscroll.app import running_worker
from longscroll.cli.configured import configured
from longscroll.cli.stopping import end_soon
from longscroll.config import Config
from longscroll.telemetry import configure_logging


def run(config_file: Path | None, data_dir: Path | None) -> None:
    """Take files until a signal ends it; those under way are given back."""
    config = configured(config_file, data_dir)
    configure_logging(level=config.server.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(config))


async def _work(config: Config) -> None:
    told = asyncio.Event()

    def obey() -> None:
        if told.is_set():
            end_soon()
        told.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, obey)
    async with running_worker(config):
        sys.stderr.write(f"Longscroll takes files from {config.data_dir}\n")
        await told.wait()
