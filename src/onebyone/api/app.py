"""The API over HTTP: finds the service, logs the caller in, and turns every outcome into an envelope."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from onebyone.api import metrics
from onebyone.api.http import body, parameters, request_context
from onebyone.api.http.envelope import failure, success
from onebyone.api.http.errors import ApiError, to_api_error, unsupported_method
from onebyone.api.http.rate_limit import RateLimiter, refuse_excess
from onebyone.api.http.request import ApiRequest, Handler
from onebyone.api.openapi.pages import Pages
from onebyone.api.reports import report_handlers
from onebyone.auth.sessions import COOKIE, Sessions
from onebyone.errors import DomainError, Fault, Forbidden, Refused
from onebyone.reports.service import ReportService
from onebyone.resources.context import ApiContext
from onebyone.resources.entities import ENTITIES
from onebyone.resources.fields import MAX_ID
from onebyone.resources.lists import catalogue
from onebyone.resources.lists.lookup import RecordCache
from onebyone.resources.object_limits import ObjectLimits
from onebyone.resources.service import Service

OPERATOR_PATHS = ("/readyz", "/livez", "/sinkz", "/metrics")

_VERSION = re.compile(r"/(current|v[0-9]+\.[0-9]+)(?=/)")
_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS")
_log = structlog.get_logger()


class Api:
    """ASGI application of the config API; `operator` answers the operator's paths."""

    def __init__(self, context: ApiContext, operator: ASGIApp) -> None:
        self._context = context
        self._operator = operator
        self._pages = Pages()
        self._sessions = Sessions(context)
        self._usage = RateLimiter(context.settings, context.cache)
        self._entities = frozenset(entity.service for entity in ENTITIES)
        self.reports = ReportService(context.store, context.report_store, context.clock)
        self._handlers: dict[str, Handler] = {
            **{entity.service: Service(context, entity) for entity in ENTITIES},
            "object-limit": ObjectLimits(context, {entity.service: entity for entity in ENTITIES}),
            "lookup": RecordCache(context),
            **catalogue.services(context),
            **report_handlers(self.reports),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        if scope["path"] in OPERATOR_PATHS:
            await self._operator(scope, receive, send)
            return
        if scope["path"] in self._pages:
            await self._pages(scope, receive, send)
            return
        started = time.perf_counter()
        told = request_context.begin()
        told.usage = self._usage.blank
        request = Request(scope, receive)
        outcome = "OK"
        try:
            response = await self._answer(request, told)
        except (ApiError, DomainError) as error:
            rendered = to_api_error(error)
            outcome = rendered.error_id
            response = failure(rendered)
        except ClientDisconnect:
            return
        except Exception as error:
            outcome = "SYSTEM"
            _log.exception("request failed", service=told.service, method=told.method, request=told.request_id)
            response = failure(to_api_error(error))
        service = told.service if told.service in self._handlers else "other"
        metrics.REQUESTS.labels(service, told.method, outcome).inc()
        metrics.REQUEST_SECONDS.labels(service).observe(time.perf_counter() - started)
        await response(scope, receive, send)

    async def _answer(self, request: Request, told: request_context.RequestContext) -> Response:
        path = _VERSION.sub("", request.url.path, count=1) if _VERSION.match(request.url.path) else request.url.path
        service = path.strip("/")
        meta = service.endswith("/meta") and service.removesuffix("/meta") in self._entities
        service = service.removesuffix("/meta") if meta else service
        told.method = request.method if request.method in _METHODS else "other"
        known = service == "auth" or service in self._handlers
        told.service = service if known else None
        if service == "auth":
            return await self._login(request)
        token, by_cookie = _token(request.headers)
        # A browser sends the cookie along from any port and sub-domain too: only its own pages may rely on it.
        if by_cookie and request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Forbidden("a request from another origin needs the Authorization header")
        caller = await self._sessions.caller(token)
        write, now = request.method not in ("GET", "HEAD"), self._context.clock()
        told.usage = await self._usage.count(caller.user_id, write=write, now_ms=now)
        refuse_excess(told.usage, caller.user_id, write=write, now_ms=now)
        if not known:
            raise ApiError("SYNTAX", f"unknown service: {service[:100]!r}")
        query = _query(request)
        sent = await body.read_body(request) if request.method in ("GET", "POST", "PUT") else None
        if request.method == "GET":
            query = parameters.merge_parameters(query, sent)
        headers = dict(request.headers)
        call = ApiRequest(request.method, service, query, sent, caller, headers, meta)
        response = await self._handlers[service](call)
        _set_cookie(response, token or "")
        return response

    async def _login(self, request: Request) -> Response:
        if request.method != "POST":
            raise unsupported_method(request.method, "auth")
        sent = await body.read_body(request)
        given = sent.get("auth") if isinstance(sent, dict) else None
        if not isinstance(given, dict):
            raise Refused(Fault("auth", "the body must be an object with this key and an object in it"))
        if "switch_to_user" in given:
            return await self._switch(request, given["switch_to_user"])
        username, password = given.get("username"), given.get("password")
        if not isinstance(username, str) or not isinstance(password, str) or "\x00" in username:
            raise Refused(Fault("auth", "username and password are required"))
        token = await self._sessions.login(username[:256], password[:1024])
        response = success({"token": token})
        _set_cookie(response, token)
        return response

    async def _switch(self, request: Request, user_id: Any) -> Response:
        token, by_cookie = _token(request.headers)
        if by_cookie and request.headers.get("sec-fetch-site") == "cross-site":
            raise Forbidden("a request from another site needs the Authorization header")
        caller = await self._sessions.caller(token)
        if isinstance(user_id, bool) or not str(user_id).isascii() or not str(user_id).isdigit():
            raise Refused(Fault("switch_to_user", "not an id"))
        switched = await self._sessions.switch(caller, min(int(str(user_id)[:20]), MAX_ID))
        response = success({"token": switched})
        _set_cookie(response, switched)
        return response


def _query(request: Request) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if "\x00" in name or "\x00" in value:
            raise ApiError("SYNTAX", "the query string holds a NUL")
        query.setdefault(name, value)
    return query


def _token(headers: Mapping[str, str]) -> tuple[str | None, bool]:
    """The token and whether it came as a cookie."""
    if "authorization" in headers:
        return headers["authorization"].strip(), False
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return unquote(value), True
    return None, False


def _set_cookie(response: Response, token: str) -> None:
    response.headers.append("Set-Cookie", f"{COOKIE}={quote(token, safe='')}; Path=/; HttpOnly; SameSite=Strict")
