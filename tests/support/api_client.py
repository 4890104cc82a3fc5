"""A small client of the config API, as a trafficker's script would be."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import httpx

from tests.support.waiting import wait_until

Rows = list[dict[str, str]]


class ApiError(AssertionError):
    """Raised for a response (`answer`) whose envelope does not say `status: OK`."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__(f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:2000]}")
        self.answer = answer


class ApiClient:
    """Log in on creation. Every method raises `ApiError` when the envelope does not say OK."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=30)
        token = self.call("POST", "auth", {"auth": {"username": username, "password": password}})["token"]
        self.http.headers["Authorization"] = token
        self.http.cookies.clear()

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def call(self, method: str, service: str, body: object = None, **query: object) -> dict[str, Any]:
        """Send one request and return the `response` object of its envelope."""
        answer = self.http.request(method, f"/{service}", json=body, params={k: str(v) for k, v in query.items()})
        if answer.headers.get("content-type", "").startswith("application/json"):
            response: dict[str, Any] = answer.json()["response"]
            if response.get("status") == "OK":
                return response
        raise ApiError(answer)

    def create(self, service: str, fields: dict[str, Any], **query: object) -> dict[str, Any]:
        """Create an object and return it."""
        created: dict[str, Any] = self.call("POST", service, {service: fields}, **query)[service]
        return created

    def get(self, service: str, object_id: int, **query: object) -> dict[str, Any]:
        """Return the object of this id."""
        fetched: dict[str, Any] = self.call("GET", service, id=object_id, **query)[service]
        return fetched

    def list(self, service: str, **query: object) -> list[dict[str, Any]]:
        """Return the objects of one page."""
        page: list[dict[str, Any]] = self.call("GET", service, **query)[f"{service}s"]
        return page

    def put(self, service: str, object_id: int, fields: dict[str, Any], **query: object) -> dict[str, Any]:
        """Change an object and return it."""
        changed: dict[str, Any] = self.call("PUT", service, {service: fields}, id=object_id, **query)[service]
        return changed

    def delete(self, service: str, object_id: int, **query: object) -> dict[str, Any]:
        """Delete an object and return the envelope."""
        return self.call("DELETE", service, id=object_id, **query)

    def run_report(self, report: dict[str, Any]) -> Rows:
        """Request a report, wait until it is ready, and return its rows, each a mapping of column to text."""
        report_id = self.call("POST", "report", {"report": report})["report_id"]
        wait_until(lambda: self.call("GET", "report", id=report_id)["execution_status"] == "ready", "report is ready")
        answer = self.http.get("/report-download", params={"id": report_id})
        if answer.status_code != 200:
            raise ApiError(answer)
        return list(csv.DictReader(io.StringIO(answer.text, newline="")))

    def report(
        self, report: dict[str, Any], until: Callable[[Rows], bool] = lambda rows: True, seconds: float = 30.0
    ) -> Rows:
        """Run the report again and again until `until` accepts its rows; fail with the last rows after `seconds`."""
        latest: Rows = []

        def accepted() -> bool:
            latest[:] = self.run_report(report)
            return until(latest)

        try:
            wait_until(accepted, "report as expected", seconds, every=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}; last rows: {latest}") from None
        return latest
