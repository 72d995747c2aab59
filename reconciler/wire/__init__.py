"""The line to a forge: one HTTP client that keeps a token to one place, waits for nobody and says what went wrong.

It owns the connections, the trust in certificates, proxies, retries, the ETag cache, the rate budget and every
word about a failed call. ``forge`` speaks over ``Wire`` and ``ears`` over ``Hook``. It knows no forge's calls,
decides nothing about what is said, stores nothing on disk and never sleeps longer than a moment.
"""

from __future__ import annotations

from reconciler.wire.answers import Reply
from reconciler.wire.client import Wire
from reconciler.wire.hook import Hook
from reconciler.wire.listing import by_link_header, identity
from reconciler.wire.site import Page, Site

__all__ = ["Hook", "Page", "Reply", "Site", "Wire", "by_link_header", "identity"]
