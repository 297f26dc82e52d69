"""The workspace: pages for people, on the same app and port as the API.

`mount` puts it on an app. Pages read the ledger through `ledger/` and published numbers through `api/summaries.py`;
they have no queries of their own.
"""

from api.workspace.context import Workspace
from api.workspace.mounting import mount

__all__ = ["Workspace", "mount"]
