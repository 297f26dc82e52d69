"""Who was let in a moment ago, so that a busy client is not looked up twice for each of its changes."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

FRESH_SECONDS = 10.0
MOST_CALLERS = 1_000


class RecentCallers:
    """Digests of credentials that were good within the last ten seconds.

    It decides only who may wait for the ledger's write lock. Whether the credential is still good is asked again inside
    the transaction, so a token revoked a moment ago changes nothing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: OrderedDict[bytes, float] = OrderedDict()

    def knows(self, credential: str) -> bool:
        """Whether the credential was noted within the last ten seconds."""
        noted = self._seen.get(_digest(credential))
        return noted is not None and self._clock() - noted < FRESH_SECONDS

    def note(self, credential: str) -> None:
        """Note a credential that was good just now."""
        self._seen[_digest(credential)] = self._clock()
        self._seen.move_to_end(_digest(credential))
        while len(self._seen) > MOST_CALLERS:
            self._seen.popitem(last=False)


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode("utf-8", "replace")).digest()
