"""The recordings door as clients know it, on a real HTTP server."""

import json
from collections.abc import Callable
from typing import Any

from .web import NOW, Answer, Asked, Site, as_json, problem

BATCH = "rb_12345678"


class Sluice:
    """Five routes, and uploads that arrive unless `put` says otherwise."""

    def __init__(self, site: Site) -> None:
        site.decide = self
        self.site = site
        self.statuses = ["queued", "processing", "completed"]
        self.put: Callable[[str], Answer] = lambda _name: Answer(201)
        self.registered: list[dict[str, Any]] = []

    def __call__(self, asked: Asked) -> Answer:
        if asked.method == "PUT":
            return self.put(asked.path)
        if asked.headers.get("x-api-key") != "test_12345":
            return problem(401, "unauthorized")
        if asked.path == "/uploads/presign":
            return self._presign(json.loads(asked.body))
        if asked.path == "/recordings":
            self.registered.append(json.loads(asked.body))
            return as_json(self._batch("pending") | {"poll": {"href": f"/batches/{BATCH}"}}, 202)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return as_json(self._batch(status))

    def _presign(self, body: dict[str, Any]) -> Answer:
        items = [
            {
                "temp_id": f"tmp_{number}",
                "method": "PUT",
                "upload_url": f"{self.site.url}/mock-upload/{number}?token=t",
                "required_headers": {"Content-Type": item["contentType"]},
                "blob_ref": f"blob://s3/b/rec_{number}/{item['filename']}",
            }
            for number, item in enumerate(body["items"])
        ]
        return as_json({"batch_id": BATCH, "expires_in_seconds": 600, "items": items})

    def _batch(self, status: str) -> dict[str, Any]:
        items = [
            {
                "client_item_id": item["client_item_id"],
                "recording_id": f"rec_{number}0000000",
                "status": "queued" if status == "pending" else status,
            }
            for number, item in enumerate(self.registered[-1]["items"] if self.registered else [])
        ]
        whole = "pending" if status == "queued" else status
        return {"batch_id": BATCH, "status": whole, "created_at": NOW, "items": items}
