"""How much of a model a workspace may use: requests and tokens a minute, and requests at once.

Counters are of a workspace and a model together, shared by all keys and both surfaces, and live in the memory of the
process that serves them. A request that is refused before any work was done for it takes nothing. Knows no surface and
no request.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from msgspec import Struct

from longscroll.errors import ConcurrencyExceeded, RequestRateExceeded, TokenRateExceeded

MINUTE_S = 60.0


class LimitOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One ``[[limit]]``; each workspace it is for has it to itself, and so has each model. None: no limit."""

    workspace: str = "*"  # a pattern with * and ?
    model: str = "*"  # the same
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None  # of the question with its documents, and of the answer
    concurrent_requests: int | None = None

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "tokens_per_minute", "concurrent_requests"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}; leave it out for no limit")


class Bucket:
    """What is left of a minute's allowance; it fills evenly and holds one minute's worth.

    Who takes more than it can ever hold gets it when it is full, and it is in debt afterwards.
    """

    def __init__(self, per_minute: int, *, now: float) -> None:
        self._capacity = float(per_minute)
        self._per_s = per_minute / MINUTE_S
        self._level = self._capacity
        self._at = now

    def missing_s(self, amount: int, *, now: float) -> int:
        """Return in how many whole seconds ``amount`` can be taken; 0: now."""
        self._fill(now)
        missing = min(float(amount), self._capacity) - self._level
        return math.ceil(round(missing / self._per_s, 6)) if missing > 0 else 0

    def take(self, amount: int) -> None:
        """Take an amount; a negative one gives it back."""
        self._level = min(self._capacity, self._level - amount)

    def _fill(self, now: float) -> None:
        self._level = min(self._capacity, self._level + max(0.0, now - self._at) * self._per_s)
        self._at = now


class _Account:
    """The counters of one workspace and model."""

    def __init__(self, limit: LimitOptions, *, now: float) -> None:
        self.max_running = limit.concurrent_requests
        self.n_running = 0
        self.requests = None if limit.requests_per_minute is None else Bucket(limit.requests_per_minute, now=now)
        self.tokens = None if limit.tokens_per_minute is None else Bucket(limit.tokens_per_minute, now=now)


class Admission:
    """A request that runs."""

    def __init__(self, account: _Account | None) -> None:
        self._account = account

    def leave(self, *, is_refused: bool) -> None:
        """Say that it has ended; one that was refused after all gives back what it took of the minute."""
        account, self._account = self._account, None
        if account is not None:
            account.n_running -= 1
            if is_refused and account.requests is not None:
                account.requests.take(-1)


class Reservation:
    """Tokens taken before it is known how many there will be."""

    def __init__(self, bucket: Bucket | None, n_tokens: int) -> None:
        self._bucket = bucket
        self._n_tokens = n_tokens

    def settle(self, n_tokens: int) -> None:
        """Take what was really used instead; once."""
        bucket, self._bucket = self._bucket, None
        if bucket is not None:
            bucket.take(n_tokens - self._n_tokens)


class Limits:
    """The limits of all workspaces. Used on the event loop; a check costs about a microsecond."""

    def __init__(self, options: Iterable[LimitOptions] = (), *, clock: Callable[[], float] = time.monotonic) -> None:
        """Obey the first of ``options`` that matches; ``clock`` is in seconds and never goes back."""
        self._options = tuple(options)
        self._clock = clock
        self._accounts: dict[tuple[str, str], _Account | None] = {}

    def admit(self, workspace: str, model: str) -> Admission:
        """Count a request; it runs until it leaves.

        Raises:
            ConcurrencyExceeded, RequestRateExceeded: it may not run now; nothing was counted.
        """
        account = self._account(workspace, model)
        if account is None:
            return Admission(None)
        if account.max_running is not None and account.n_running >= account.max_running:
            raise ConcurrencyExceeded
        if account.requests is not None:
            if missing_s := account.requests.missing_s(1, now=self._clock()):
                raise RequestRateExceeded(retry_after_s=missing_s)
            account.requests.take(1)
        account.n_running += 1
        return Admission(account)

    def reserve(self, workspace: str, model: str, n_tokens: int) -> Reservation:
        """Take the tokens that a request is expected to use.

        Raises:
            TokenRateExceeded: the minute's allowance does not hold them; nothing was taken.
        """
        account = self._account(workspace, model)
        bucket = account.tokens if account is not None else None
        if bucket is not None:
            if missing_s := bucket.missing_s(n_tokens, now=self._clock()):
                raise TokenRateExceeded(retry_after_s=missing_s)
            bucket.take(n_tokens)
        return Reservation(bucket, n_tokens)

    def _account(self, workspace: str, model: str) -> _Account | None:
        key = workspace, model
        if key not in self._accounts:
            limit = next((one for one in self._options if _is_for(one, workspace, model)), None)
            self._accounts[key] = None if limit is None else _Account(limit, now=self._clock())
        return self._accounts[key]


def _is_for(limit: LimitOptions, workspace: str, model: str) -> bool:
    return fnmatchcase(workspace, limit.workspace) and fnmatchcase(model, limit.model)
