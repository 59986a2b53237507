"""Sessions, headers and who may open what.

The cookie holds a random token and the token against forged forms; everything else of a
session lives in the accounts file. Pages come with a strict Content-Security-Policy:
own style sheets, own script, nothing inline.
"""

from __future__ import annotations

from typing import Any, cast

from flask import Flask, Response, abort, redirect, request, url_for
from flask.sessions import SecureCookieSessionInterface
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import LoginManager, current_user
from flask_wtf.csrf import CSRFProtect
from werkzeug.wrappers import Response as BaseResponse

from ems.store.accounts import Role, User
from web.site import SignedIn, site

LIVE_HEADER = "X-Hearth-Live"
"""Sent by the page's own script when it refreshes figures."""
SIGN_IN_LIMIT = "30 per minute"
STATIC_AGE_S = 3600

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

csrf = CSRFProtect()


class _Sessions(SecureCookieSessionInterface):
    """Marks the cookie ``Secure`` whenever the request came by https."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return bool(app.config["SESSION_COOKIE_SECURE"]) or request.is_secure


def is_refresh() -> bool:
    """Tell whether this request is a page refreshing itself."""
    return LIVE_HEADER in request.headers


def person() -> User:
    """Return who is signed in; only for pages behind a sign-in."""
    return cast(SignedIn, current_user).user


def protect(app: Flask) -> None:
    """Put sessions, forged-form protection, rate limits and headers on an application."""
    app.session_interface = _Sessions()
    app.config.update(
        SESSION_COOKIE_NAME="hearth",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,
        MAX_CONTENT_LENGTH=64 * 1024,
        SEND_FILE_MAX_AGE_DEFAULT=STATIC_AGE_S,
    )
    csrf.init_app(app)
    login = LoginManager()
    login.session_protection = None
    login.init_app(app)
    login.user_loader(_load)
    login.unauthorized_handler(_sign_in_first)
    app.after_request(_headers)


def limit_sign_in(app: Flask, endpoint: str) -> None:
    """Let an address post to the sign-in only so often; each application counts by itself."""
    limiter = Limiter(get_remote_address, app=app, storage_uri="memory://")
    limit = limiter.limit(SIGN_IN_LIMIT, methods=["POST"])
    app.view_functions[endpoint] = cast(Any, limit(app.view_functions[endpoint]))


def _load(token: str) -> SignedIn | None:
    user = site().accounts.session_user(token, touch=not is_refresh())
    return SignedIn(user, token) if user else None


def _sign_in_first() -> BaseResponse:
    if is_refresh():
        return Response("Sign in again.", status=401, mimetype="text/plain")
    return redirect(url_for("account.sign_in", next=request.full_path.rstrip("?")))


def _headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers[name] = value
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    return response


def operators_only() -> BaseResponse | None:
    """Let operators pass; send others to sign in or refuse them."""
    if not current_user.is_authenticated:
        return _sign_in_first()
    if person().role is not Role.OPERATOR:
        dwelling_id = (request.view_args or {}).get("dwelling_id")
        if dwelling_id and dwelling_id != person().dwelling_id:
            _note_refusal(dwelling_id)
        abort(403)
    return None


def own_home_only() -> BaseResponse | None:
    """Let a tenant pass to the own home, an operator to every home."""
    if not current_user.is_authenticated:
        return _sign_in_first()
    dwelling_id = (request.view_args or {}).get("dwelling_id", "")
    if not person().may_see_home(dwelling_id):
        _note_refusal(dwelling_id)
        abort(403)
    return None


def tenants_only() -> BaseResponse | None:
    """Let a tenant pass to the own home; refuse everybody else, staff too."""
    answer = own_home_only()
    if answer is None and person().role is not Role.TENANT:
        _note_refusal((request.view_args or {}).get("dwelling_id", ""))
        abort(403)
    return answer


def note_view(subject: str, reason: str = "", page: str = "") -> None:
    """Record that staff saw the data of a home or a block; tenants' own views are not kept.

    ``reason`` is what they gave where a page asks for one; ``page`` names it where the
    request's own endpoint does not.
    """
    if person().role is Role.OPERATOR:
        site().views.record(
            site(),
            person(),
            subject,
            page or str(request.endpoint),
            refresh=is_refresh(),
            reason=reason,
        )


def _note_refusal(dwelling_id: str) -> None:
    if any(home.id == dwelling_id for home in site().estate.dwellings()):
        note_refusal(dwelling_id, str(request.endpoint))


def note_refusal(dwelling_id: str, page: str) -> None:
    """Record that somebody was refused a home's data."""
    site().views.record_refusal(site(), person(), dwelling_id, page)
