"""``longscroll usage``: what was used in a data folder, whether a service runs on it or not."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from msgspec.structs import asdict

from longscroll.app import usage_room
from longscroll.cli.configured import configured
from longscroll.cli.table import print_table
from longscroll.services.usage import Period, total
from longscroll.storage.base import UsageSum

COLUMNS = ("requests", "input", "output", "cached", "read")


def print_usage(
    config_file: Path | None, data_dir: Path | None, by: str, *, workspace: str | None, period: Period, as_json: bool
) -> None:
    """Print what was used, by group; a table has the total below."""

    async def work() -> list[UsageSum]:
        async with usage_room(configured(config_file, data_dir)) as usage:
            return await usage.sums(by, workspace, period)

    sums = asyncio.run(work())
    if as_json:
        sys.stdout.writelines(json.dumps({"by": by, **asdict(one)}, ensure_ascii=False) + "\n" for one in sums)
        return
    print_table((by, *COLUMNS), [_cells(one) for one in (*sums, total(sums))])


def _cells(one: UsageSum) -> tuple[str, ...]:
    counts = (one.n_requests, one.n_input, one.n_output, one.n_cached, one.n_read)
    return (one.name, *(f"{count:,}" for count in counts))
