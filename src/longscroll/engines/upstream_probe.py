"""Ask an address whether a model server answers there, which models it has and how much they can read.

Asks ``/v1/models``, and the server's own page where only that tells the window in use: ``/props`` of an older
llama-server (its list told the window of the training), Ollama's ``/api/ps`` (its list tells none, and longer prompts
are cut silently).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import Struct

from longscroll import late
from longscroll.engines.upstream_wire import UpstreamKind
from longscroll.errors import ModelUnavailable

if TYPE_CHECKING:
    import aiohttp
else:
    aiohttp = late("aiohttp")  # a fifth of a second that a service without model servers has no use for

PROBE_TIMEOUT_S = 1.0
MAX_LISTING_BYTES = 8 << 20

_KIND_BY_OWNER: dict[str, UpstreamKind] = {
    "vllm": "vllm",
    "sglang": "sglang",
    "llamacpp": "llama-server",
    "library": "ollama",
}

T = TypeVar("T")


class ProbeResult(Struct, frozen=True, kw_only=True):
    """A model server that answered."""

    url: str  # its base URL, as asked
    kind: UpstreamKind  # by what it calls the owner of its models; "openai" where that says nothing
    models: tuple[str, ...]
    context_windows: dict[str, int]  # by model, tokens; only what the server tells

    def context_window(self, model: str) -> int | None:
        """Return the window of a model in tokens; None when the server does not tell."""
        return self.context_windows.get(model) or self.context_windows.get(f"{model}:latest")


class _Meta(Struct):
    n_ctx: int | None = None  # llama-server since 2026; one slot's share


class _Listed(Struct):
    id: str
    owned_by: str | None = None
    max_model_len: int | None = None  # vLLM, SGLang
    meta: _Meta | None = None

    @property
    def window(self) -> int | None:
        return self.max_model_len or (self.meta and self.meta.n_ctx) or None


class _Listing(Struct):
    data: list[_Listed]


class _Settings(Struct):
    n_ctx: int


class _Props(Struct):
    default_generation_settings: _Settings


class _Loaded(Struct):
    name: str
    context_length: int | None = None


class _Running(Struct):
    models: list[_Loaded]


async def probe(
    url: str,
    *,
    api_key: str | None = None,
    kind: UpstreamKind | None = None,
    timeout_s: float = PROBE_TIMEOUT_S,
) -> ProbeResult:
    """Ask the model server at a base URL (one that ends in ``/v1``) who it is; ``kind`` where that is known already.

    Raises:
        ModelUnavailable: nothing answers within ``timeout_s``, or what answers lists no models.
    """
    url = url.rstrip("/")
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        listing = await _get(session, f"{url}/models", _Listing)
        if listing is None:
            raise ModelUnavailable(f"No model server answers at {url}.")
        kind = kind or _kind_of(listing.data)
        windows = {model.id: model.window for model in listing.data if model.window}
        if not windows:
            windows = await _own_windows(session, url.removesuffix("/v1"), kind, listing.data)
    return ProbeResult(url=url, kind=kind, models=tuple(model.id for model in listing.data), context_windows=windows)


async def read_at_most(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Read a body up to ``limit`` bytes; the rest is not read."""
    blocks: list[bytes] = []
    n_left = limit
    while n_left > 0 and (block := await response.content.read(n_left)):
        blocks.append(block)
        n_left -= len(block)
    return b"".join(blocks)


def _kind_of(models: list[_Listed]) -> UpstreamKind:
    kinds = (_KIND_BY_OWNER.get(model.owned_by or "") for model in models)
    return next((kind for kind in kinds if kind), "openai")


async def _own_windows(
    session: aiohttp.ClientSession, root: str, kind: UpstreamKind, models: list[_Listed]
) -> dict[str, int]:
    if kind == "llama-server":
        props = await _get(session, f"{root}/props", _Props)
        return {model.id: props.default_generation_settings.n_ctx for model in models} if props else {}
    if kind == "ollama":
        running = await _get(session, f"{root}/api/ps", _Running)
        loaded = running.models if running else ()
        return {model.name: model.context_length for model in loaded if model.context_length}
    return {}


async def _get(session: aiohttp.ClientSession, url: str, shape: type[T]) -> T | None:
    """Fetch one JSON page; None when it is not there or has another shape: probing is allowed to find nothing."""
    try:
        async with session.get(url, allow_redirects=False) as response:
            body = await read_at_most(response, MAX_LISTING_BYTES)
            return msgspec.json.decode(body, type=shape) if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None
