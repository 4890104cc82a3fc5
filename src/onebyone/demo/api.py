"""The config API as the demo uses it: a few calls with the standard library's HTTP client."""

from __future__ import annotations

import csv
import io
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

TIMEOUT = 30.0
"""Seconds for one call; a report of the demo takes less than one."""


class ApiError(Exception):
    """A call that failed; the text says which one and why."""


class Api:
    """A session of one user; `url` is the base URL of the API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._token = ""

    def log_in(self, username: str, password: str) -> None:
        """Start the session. Raise `ApiError` unless the API accepts the call, as every method does."""
        answer = self.call("POST", "auth", {"auth": {"username": username, "password": password}})
        self._token = answer["token"]

    def call(self, method: str, service: str, body: object = None, **query: object) -> dict[str, Any]:
        """Return the `response` object of an answer whose status is OK."""
        response = self._response(method, service, body, query)
        if response.get("status") != "OK":
            raise ApiError(f"{method} /{service}: {response.get('error', response)}")
        return response

    def ensure(self, service: str, code: str, fields: dict[str, Any], **parent: object) -> dict[str, Any]:
        """Return the object with this code under its parent; create it when there is none yet."""
        query = {"code": code, **parent}
        found = self._response("GET", service, None, query)
        # Where codes are unique, the answer is the object alone, or an error; trackers may share codes.
        existing = found.get(service) or next(iter(found.get(f"{service}s", ())), None)
        if existing is not None:
            kept: dict[str, Any] = existing
            return kept
        created: dict[str, Any] = self.call("POST", service, {service: {"code": code, **fields}}, **parent)[service]
        return created

    def request_report(self, report: dict[str, Any]) -> str:
        """Start a report and return its id."""
        return str(self.call("POST", "report", {"report": report})["report_id"])

    def report_rows(self, report_id: str) -> list[dict[str, str]] | None:
        """Return the rows of a report, each by column name; None while the report is being made."""
        if self.call("GET", "report", None, id=report_id)["execution_status"] != "ready":
            return None
        table = self._send("GET", "report-download", None, {"id": report_id}).decode()
        return list(csv.DictReader(io.StringIO(table, newline="")))

    def _response(self, method: str, service: str, body: object, query: dict[str, object]) -> dict[str, Any]:
        try:
            response: dict[str, Any] = json.loads(self._send(method, service, body, query))["response"]
        except (ValueError, KeyError, TypeError):
            raise ApiError(f"{method} /{service}: the answer is not one of this API") from None
        return response

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
                payload: bytes = answer.read()
        except urllib.error.HTTPError as error:
            payload = error.read()
        except OSError as error:
            raise ApiError(f"{method} /{service}: {error}") from None
        return payload
