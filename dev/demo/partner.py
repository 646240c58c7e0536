"""A partner's web server: receives webhooks and checks each signature with the standard's own library."""

import base64
import json
from collections import Counter
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

MAX_BODY = 1024 * 1024


class Partner:
    """Listens on a free port."""

    def __init__(self) -> None:
        self.secret = "whsec_" + base64.b64encode(b"replaced when the endpoint is made").decode()
        self.verified: dict[str, dict[str, Any]] = {}
        """The first delivery of each event, by ``webhook-id``."""
        self.deliveries = 0
        self.refused = 0
        self._types: Counter[str] = Counter()

    async def start(self, host: str = "127.0.0.1") -> str:
        """Listen on an address of this machine; returns the URL to be told about events."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/hooks", self._receive)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, 0)
        await site.start()
        port = self._runner.addresses[0][1]
        return f"http://{host}:{port}/hooks"

    async def stop(self) -> None:
        """Close the port."""
        await self._runner.cleanup()

    def count(self, event_type: str) -> int:
        """How many different events of a type came and were genuine."""
        return self._types[event_type]

    def subjects(self, event_type: str) -> set[str]:
        """What they were about."""
        return {event["subject"] for event in self.verified.values() if event["type"] == event_type}

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.deliveries += 1
        try:
            Webhook(self.secret).verify(body, dict(request.headers))
        except WebhookVerificationError:
            self.refused += 1
            return web.Response(status=401)
        event = json.loads(body)
        if request.headers["webhook-id"] not in self.verified:
            self.verified[request.headers["webhook-id"]] = event
            self._types[event["type"]] += 1
        return web.Response(status=204)
