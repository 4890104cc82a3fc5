"""The config API as the demo uses it: a few calls over the standard library's HTTP client."""

from __future__ import annotations

import csv
import io
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

TIMEOUT = 30.0


class ApiError(Exception):
    """A call that was not answered with OK; the text says which and why."""


class Api:
    """A session of one user; `url` is the base URL of the API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._token = ""

    def log_in(self, username: str, password: str) -> None:
        """Starts the session. Raises `ApiError`, as every call does."""
        answer = self.call("POST", "auth", {"auth": {"username": username, "password": password}})
        self._token = answer["token"]

    def call(self, method: str, service: str, body: object = None, **query: object) -> dict[str, Any]:
        """The `response` object of an answer whose status is OK."""
        try:
            response = json.loads(self._send(method, service, body, query))["response"]
        except (ValueError, KeyError, TypeError):
            raise ApiError(f"{method} /{service}: the answer is not one of this API") from None
        if response.get("status") != "OK":
            raise ApiError(f"{method} /{service}: {response.get('error', response)}")
        found: dict[str, Any] = response
        return found

    def ensure(self, service: str, code: str, fields: dict[str, Any], **parent: object) -> dict[str, Any]:
        """The object with this code under its parent; made when there is none yet."""
        found = self.call("GET", service, None, code=code, **parent)[f"{service}s"]
        if found:
            first: dict[str, Any] = found[0]
            return first
        made: dict[str, Any] = self.call("POST", service, {service: {"code": code, **fields}}, **parent)[service]
        return made

    def report(self, report: dict[str, Any]) -> list[dict[str, str]]:
        """The rows of a report by column name; none while it is not ready."""
        report_id = self.call("POST", "report", {"report": report})["report_id"]
        if self.call("GET", "report", None, id=report_id)["execution_status"] != "ready":
            return []
        text = self._send("GET", "report-download", None, {"id": report_id}).decode()
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def _send(self, method: str, service: str, body: object, query: dict[str, object]) -> bytes:
        url = f"{self.url}/{service}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, method=method)  # noqa: S310
        if self._token:
            request.add_header("Authorization", self._token)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
                text: bytes = answer.read()
        except urllib.error.HTTPError as error:
            text = error.read()
        except OSError as error:
            raise ApiError(f"{method} /{service}: {error}") from None
        return text
