"""``longscroll files``: the file endpoints of a running service, from the command line."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from rich.progress import Progress as Bars
from rich.progress import TaskID

from longscroll.cli.bars import parse_bars, show
from longscroll.cli.configured import configured
from longscroll.cli.table import print_table
from longscroll.errors import LongscrollError
from longscroll.types import Progress

Where = tuple[Path | None, Path | None, str | None]
"""Configuration file, data folder and base URL, as the options say them."""

_POLL_S = 0.2


class ServiceError(LongscrollError):
    """The service answered with an error, or did not answer."""


@asynccontextmanager
async def _session(where: Where) -> AsyncIterator[aiohttp.ClientSession]:
    config_file, data_dir, base_url = where
    config = configured(config_file, data_dir)
    key_file = config.data_dir / "api-key"
    key = config.api_key or (key_file.read_text(encoding="ascii").strip() if key_file.exists() else "")
    address = (base_url or f"http://{config.server.host}:{config.server.port}").rstrip("/")
    address = address.removesuffix("/compatible-mode/v1").removesuffix("/v1")
    try:
        async with aiohttp.ClientSession(
            f"{address}/compatible-mode/v1/",
            headers={"Authorization": f"Bearer {key}"},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
        ) as session:
            yield session
    except aiohttp.ClientConnectorError as error:
        raise ServiceError(f"No service answers at {address}; start one with `longscroll serve`.") from error
    except aiohttp.ClientError as error:
        raise ServiceError(f"The service at {address} broke off: {error}.") from error


async def _json(response: aiohttp.ClientResponse) -> dict[str, Any]:
    body: dict[str, Any] = await response.json(content_type=None)
    if response.status >= 400:
        raise ServiceError(body.get("error", {}).get("message") or f"The service answered {response.status}.")
    return body


def put(files: list[Path], where: Where, *, wait: bool, as_json: bool) -> None:
    """Upload files one after another, then wait for all of them; exit status 1 when one ended in an error."""
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise ServiceError(f"No such file: {', '.join(missing)}.")
    done = asyncio.run(_put(files, where, wait=wait))
    for file in done:
        sys.stdout.write(json.dumps(file, ensure_ascii=False) + "\n" if as_json else f"{file['id']}\n")
    failed = [file for file in done if file["status"] == "error"]
    for file in failed:
        sys.stderr.write(f"{file['filename']}: {file['status_details']}\n")
    if failed:
        sys.exit(1)


async def _put(files: list[Path], where: Where, *, wait: bool) -> list[dict[str, Any]]:
    async with _session(where) as session:
        with parse_bars() as bars:
            uploaded = {}
            for path in files:
                task = bars.add_task(path.name, total=path.stat().st_size, state="uploading")
                uploaded[task] = await _upload(session, path, bars, task)
            return await _parsed(session, uploaded, bars) if wait else list(uploaded.values())


async def _upload(session: aiohttp.ClientSession, path: Path, bars: Bars, task: TaskID) -> dict[str, Any]:
    async def blocks() -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                bars.advance(task, len(block))
                yield block

    form = aiohttp.FormData(quote_fields=False)
    form.add_field("purpose", "file-extract")
    form.add_field("file", blocks(), filename=path.name, content_type="application/octet-stream")
    async with session.post("files", data=form) as response:
        return await _json(response)


async def _parsed(
    session: aiohttp.ClientSession, uploaded: dict[TaskID, dict[str, Any]], bars: Bars
) -> list[dict[str, Any]]:
    """Wait until every file came to its end; each round asks for all that have not, one after the other."""
    files = dict(uploaded)
    while waiting := [task for task, file in files.items() if file["status"] == "uploaded"]:
        await asyncio.sleep(_POLL_S)
        for task in waiting:
            async with session.get(f"files/{files[task]['id']}") as response:
                files[task] = file = await _json(response)
            if "progress" in file.get("longscroll", {}):
                show(bars, task, _progress(file["longscroll"]["progress"]))
            elif file["status"] != "uploaded":
                bars.update(task, completed=1, total=1, state=file["status"])
    return list(files.values())


def _progress(said: dict[str, Any]) -> Progress:
    return Progress(
        stage=said["stage"],
        n_done=said["done"],
        n_total=said["total"],
        unit=said["unit"],
        per_s=said.get("rate"),
        left_s=said.get("seconds_left"),
    )


def list_files(where: Where, *, as_json: bool) -> None:
    """Print every file of the workspace."""
    files = asyncio.run(_list(where))
    if as_json:
        sys.stdout.writelines(json.dumps(file, ensure_ascii=False) + "\n" for file in files)
    else:
        _print(files)


async def _list(where: Where) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = []
    async with _session(where) as session:
        while True:
            query = {"limit": "2000"} | ({"after": files[-1]["id"]} if files else {})
            async with session.get("files", params=query) as response:
                page = await _json(response)
            files += page["data"]
            if not page["has_more"]:
                return files


def _print(files: Iterable[dict[str, Any]]) -> None:
    rows = [
        (file["id"], file["status"], f"{file['bytes']:,}", file["filename"], file["status_details"] or "")
        for file in files
    ]
    print_table(("id", "status", "bytes", "name", "details"), rows)


def get(file_id: str, where: Where, *, text: bool, as_json: bool) -> None:
    """Print one file's state, or the text of its document as it is stored."""
    if text:
        asyncio.run(_print_text(file_id, where))
        return
    file = asyncio.run(_get(file_id, where))
    if as_json:
        sys.stdout.write(json.dumps(file, ensure_ascii=False) + "\n")
    else:
        _print([file])


async def _get(file_id: str, where: Where) -> dict[str, Any]:
    async with _session(where) as session, session.get(f"files/{file_id}") as response:
        return await _json(response)


async def _print_text(file_id: str, where: Where) -> None:
    async with _session(where) as session, session.get(f"files/{file_id}/content") as response:
        if response.status >= 400:
            await _json(response)
        async for block in response.content.iter_chunked(1 << 16):
            sys.stdout.buffer.write(block)


def delete(file_ids: list[str], where: Where) -> None:
    """Delete files; stops at the first that is not there."""
    asyncio.run(_delete(file_ids, where))


async def _delete(file_ids: list[str], where: Where) -> None:
    async with _session(where) as session:
        for file_id in file_ids:
            async with session.delete(f"files/{file_id}") as response:
                await _json(response)
