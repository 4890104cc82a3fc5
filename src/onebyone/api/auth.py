"""The service `auth` over HTTP: a token for a user name and a password, or for an admin who acts as another user."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from onebyone.api.http.body import read_body
from onebyone.api.http.cookie_rule import CookieRule
from onebyone.api.http.envelope import success
from onebyone.api.http.errors import unsupported_method
from onebyone.api.http.session_token import clear_token_cookie, read_token, set_token_cookie
from onebyone.auth.sessions import Sessions
from onebyone.errors import Fault, Refused
from onebyone.resources.fields import MAX_ID
from onebyone.runtime.trusted_proxies import TrustedProxies

CREDENTIALS_MAX = 16 * 1024
"""Bytes of a body, which nobody has paid for with a login yet; the longest credentials fit even when escaped."""
USERNAME_MAX, PASSWORD_MAX = 256, 1024
"""Characters that are looked at; both are longer than any that a user can have."""


class AuthHandler:
    """Answers `/auth`, the one service that needs no session."""

    def __init__(self, sessions: Sessions, cookie_rule: CookieRule, proxies: TrustedProxies) -> None:
        self._proxies = proxies
        self._sessions = sessions
        self._cookie_rule = cookie_rule

    async def __call__(self, request: Request) -> Response:
        """Log in on POST, log out on DELETE."""
        match request.method:
            case "POST":
                return await self._answer_login(request)
            case "DELETE":
                return await self._answer_logout(request)
        raise unsupported_method(request.method, "auth")

    async def _answer_login(self, request: Request) -> Response:
        """Return the token, also as a cookie for a client that has no header to keep it in."""
        sets_cookie = self._cookie_rule.allows_login(request)
        body = await read_body(request, CREDENTIALS_MAX)
        credentials = body.get("auth") if isinstance(body, dict) else None
        if not isinstance(credentials, dict):
            raise Refused(Fault("auth", "the body must be an object with this key and an object in it"))
        if "switch_to_user" in credentials:
            token = await self._switch_user(request, credentials["switch_to_user"])
        else:
            token = await self._log_in(request, credentials.get("username"), credentials.get("password"))
        response = success({"token": token})
        if sets_cookie:
            set_token_cookie(response, token, secure=self._cookie_rule.is_secure(request))
        return response

    async def _answer_logout(self, request: Request) -> Response:
        """End the session, and clear the cookie where it brought the token."""
        sent = read_token(request.headers)
        if sent.by_cookie:
            self._cookie_rule.require_use(request)
        await self._sessions.log_out(sent.token)
        response = success({})
        if sent.by_cookie:
            clear_token_cookie(response, secure=self._cookie_rule.is_secure(request))
        return response

    async def _log_in(self, request: Request, username: Any, password: Any) -> str:
        if not isinstance(username, str) or not isinstance(password, str) or "\x00" in username:
            raise Refused(Fault("auth", "username and password are required"))
        peer = request.client.host if request.client else ""
        address = self._proxies.client_address(peer, request.headers.raw)
        return await self._sessions.log_in(username[:USERNAME_MAX], password[:PASSWORD_MAX], address)

    async def _switch_user(self, request: Request, user_id: Any) -> str:
        sent = read_token(request.headers)
        if sent.by_cookie:
            self._cookie_rule.require_use(request)
        caller = await self._sessions.find_caller(sent.token)
        if isinstance(user_id, bool) or not str(user_id).isascii() or not str(user_id).isdigit():
            raise Refused(Fault("switch_to_user", "not an id"))
        return await self._sessions.switch_user(caller, min(int(str(user_id)[:20]), MAX_ID))
