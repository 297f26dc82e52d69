"""How much one address or one credential may ask for: token buckets in memory, each refilled through the minute.

A bucket holds a minute's allowance, so short bursts pass and only what is sustained is slowed down. Who holds a good
token is never locked out by others who try bad ones from the same address, for example behind one proxy: the allowance
for bad credentials is asked only after a credential has failed.
"""

import hashlib
import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from functools import lru_cache
from typing import Any

from api.problems import Problem
from ledger.settings import Settings

MOST_KEYS = 10_000
Clock = Callable[[], float]


class Buckets:
    """One bucket of `per_minute` for each key; 0 means no limit. Beyond `MOST_KEYS` the longest unused is forgotten."""

    def __init__(self, per_minute: int, clock: Clock = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Take one from the key's bucket and return 0, or return the seconds until there is one again."""
        if not self._per_minute:
            return 0.0
        now = self._clock()
        with self._lock:
            level, seen = self._levels.pop(key, (float(self._per_minute), now))
            level = min(float(self._per_minute), level + (now - seen) * self._per_minute / 60)
            has_one = level >= 1
            self._levels[key] = (level - 1 if has_one else level, now)
            if len(self._levels) > MOST_KEYS:
                self._levels.popitem(last=False)
        return 0.0 if has_one else (1 - level) * 60 / self._per_minute


class RateLimits:
    """The limits of one running app."""

    def __init__(self, settings: Settings, clock: Clock = time.monotonic) -> None:
        self._addresses = Buckets(settings.rate_limit_per_address, clock)
        self._credentials = Buckets(settings.rate_limit_per_token, clock)
        self._strangers = Buckets(settings.rate_limit_bad_tokens, clock)

    def admit(self, address: str, credential: str | None) -> None:
        """Count a request; raise the problem `too-many-requests` when its address or credential has sent too many."""
        wait = self._addresses.take(address)
        if not wait and credential:
            wait = self._credentials.take(hashlib.sha256(credential.encode("utf-8", "replace")).hexdigest())
        _refuse_after(wait)

    def admit_stranger(self, address: str) -> None:
        """Count a credential that failed; raise `too-many-requests` when too many from this address have."""
        _refuse_after(self._strangers.take(address))


def _refuse_after(wait: float) -> None:
    if wait:
        seconds = max(1, math.ceil(wait))
        raise Problem(
            "too-many-requests",
            f"Send fewer requests; the next is answered in {seconds} s.",
            headers={"Retry-After": str(seconds)},
        )


def address_of(scope: MutableMapping[str, Any]) -> str:
    """Return where a request comes from, as limits see it: an IPv4 address, or the /64 network of an IPv6 one."""
    return _network_of((scope.get("client") or ("unknown",))[0])


@lru_cache(maxsize=4096)
def _network_of(host: str) -> str:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return str(host)[:64]
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
