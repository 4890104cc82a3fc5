"""The API over HTTP: finds the service, identifies the caller, and turns every outcome into an envelope."""

from __future__ import annotations

import re
import time

import redis.asyncio
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from onebyone.api import metrics
from onebyone.api.auth import AuthHandler
from onebyone.api.http import parameters, request_context
from onebyone.api.http.body import read_body
from onebyone.api.http.cookie_rule import CookieRule
from onebyone.api.http.envelope import failure
from onebyone.api.http.errors import ApiError, to_api_error
from onebyone.api.http.rate_limit import RateLimiter, require_room
from onebyone.api.http.request import ApiRequest, Handler
from onebyone.api.http.request_context import RequestContext
from onebyone.api.http.session_token import read_token, set_token_cookie
from onebyone.api.lists import list_handlers
from onebyone.api.objects import object_handler
from onebyone.api.openapi.pages import Pages
from onebyone.api.reports import report_handlers
from onebyone.auth.sessions import Sessions
from onebyone.errors import DomainError
from onebyone.reports.service import ReportService
from onebyone.resources.context import EngineContext
from onebyone.resources.entities import ENTITIES
from onebyone.resources.service import Resources
from onebyone.runtime.trusted_proxies import TrustedProxies

OPERATOR_PATHS = ("/readyz", "/livez", "/sinkz", "/metrics")

_VERSION_PREFIX = re.compile(r"^/(current|v[0-9]+\.[0-9]+)(?=/)")
_METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS")
_log = structlog.get_logger()


class Api:
    """ASGI application of the config API; `operator` answers the operator's paths.

    API processes share in `cache` what their users use; without it each process counts alone.
    """

    def __init__(self, context: EngineContext, operator: ASGIApp, cache: redis.asyncio.Redis | None = None) -> None:
        settings = context.settings
        entities = {entity.service: entity for entity in ENTITIES}
        resources = Resources(context)
        self._clock = context.clock
        self._operator = operator
        self._pages = Pages()
        self.sessions = Sessions(context.store, settings, context.clock)
        proxies = TrustedProxies(settings)
        self._cookie_rule = CookieRule(proxies)
        self._auth = AuthHandler(self.sessions, self._cookie_rule, proxies)
        self._rate_limiter = RateLimiter(settings, cache)
        self._with_meta = frozenset(entities)
        self.reports = ReportService(context.store, context.report_store, context.clock)
        self._handlers: dict[str, Handler] = {
            **{service: object_handler(resources, entity) for service, entity in entities.items()},
            **list_handlers(context, entities),
            **report_handlers(self.reports),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        # Some clients send verbs in lower case. Every later check, such as the cookie rule, has to see the same verb.
        scope = {**scope, "method": scope["method"].upper()}
        if scope["path"] in OPERATOR_PATHS:
            await self._operator(scope, receive, send)
            return
        if scope["path"] in self._pages:
            await self._pages(scope, receive, send)
            return
        started = time.perf_counter()
        context = request_context.begin_request()
        context.usage = self._rate_limiter.blank
        outcome = "OK"
        try:
            response = await self._answer(Request(scope, receive), context)
        except (ApiError, DomainError) as error:
            rendered = to_api_error(error)
            outcome = rendered.error_id
            response = failure(rendered)
        except ClientDisconnect:
            return
        except Exception as error:
            outcome = "SYSTEM"
            _log.exception("request failed", service=context.service, method=context.method, request=context.request_id)
            response = failure(to_api_error(error))
        service = context.service if context.service in self._handlers else "other"
        metrics.REQUESTS.labels(service, context.method, outcome).inc()
        metrics.REQUEST_SECONDS.labels(service).observe(time.perf_counter() - started)
        await response(scope, receive, send)

    async def _answer(self, request: Request, context: RequestContext) -> Response:
        service = _VERSION_PREFIX.sub("", request.url.path, count=1).strip("/")
        meta = service.endswith("/meta") and service.removesuffix("/meta") in self._with_meta
        service = service.removesuffix("/meta") if meta else service
        known = service == "auth" or service in self._handlers
        context.method = request.method if request.method in _METHODS else "other"
        context.service = service if known else None
        if service == "auth":
            return await self._auth(request)
        sent = read_token(request.headers)
        if sent.by_cookie:
            self._cookie_rule.require_use(request)
        caller = await self.sessions.find_caller(sent.token)
        write, now_ms = request.method not in ("GET", "HEAD"), self._clock()
        context.usage = await self._rate_limiter.count(caller.user_id, write=write, now_ms=now_ms)
        require_room(context.usage, caller.user_id, write=write, now_ms=now_ms)
        if not known:
            raise ApiError("SYNTAX", f"unknown service: {service[:100]!r}")
        query = parameters.read_parameters(request)
        body = await read_body(request) if request.method in ("GET", "POST", "PUT") else None
        if request.method == "GET":
            query = parameters.merge_parameters(query, body)
            parameters.warn_of_nested(body, context.warnings)
        call = ApiRequest(request.method, service, query, body, caller, context.warnings, meta)
        response = await self._handlers[service](call)
        if sent.by_cookie and sent.token:
            set_token_cookie(response, sent.token, secure=self._cookie_rule.is_secure(request))
        return response
