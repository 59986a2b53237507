"""Signing in and out."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask_login import current_user, login_user, logout_user
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response
from wtforms import PasswordField, StringField
from wtforms.validators import DataRequired, Length

from ems.store.accounts import Refusal, Role, User
from web.security import person
from web.site import SignedIn, site

blueprint = Blueprint("account", __name__)

MESSAGES = {
    Refusal.WRONG: "The name or the password is not right.",
    Refusal.TOO_MANY: "Too many failed attempts. Wait 15 minutes and try again.",
}


class SignInForm(FlaskForm):  # type: ignore[misc] # Flask-WTF has no type information
    """Name and password."""

    name = StringField("Name", [DataRequired("Enter your name."), Length(max=64)])
    password = PasswordField("Password", [DataRequired("Enter your password."), Length(max=256)])


def _safe_next(target: str | None) -> str | None:
    """Return a path of this site, or ``None`` for anything that leads elsewhere."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")):
        return None
    parts = urlsplit(target)
    return None if parts.scheme or parts.netloc or "\\" in target else target


def home_of(user: User) -> str:
    """Return where a person's pages begin."""
    if user.role is Role.OPERATOR:
        return url_for("operator.estate")
    return url_for("tenant.today", dwelling_id=user.dwelling_id)


@blueprint.get("/")
def index() -> Response:
    """Lead to the person's own first page."""
    if not current_user.is_authenticated:
        return redirect(url_for("account.sign_in"))
    return redirect(home_of(person()))


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> str | Response | tuple[str, int]:
    """Ask for name and password; a new session begins with the right ones."""
    target = _safe_next(request.args.get("next"))
    if current_user.is_authenticated and request.method == "GET":
        return redirect(target or home_of(person()))
    form = SignInForm()
    errors: list[dict[str, str]] = []
    if form.validate_on_submit():
        found = site().accounts.verify(form.name.data or "", form.password.data or "")
        if isinstance(found, User):
            session.clear()
            login_user(SignedIn(found, site().accounts.open_session(found.name)))
            return redirect(target or home_of(found))
        errors = [{"text": MESSAGES[found], "href": "#name"}]
    elif form.is_submitted():
        errors = [
            {"text": text, "href": f"#{field}"}
            for field, texts in form.errors.items()
            for text in texts
        ]
    page = render_template("sign_in.html", form=form, errors=errors)
    return (page, 400) if errors else page


@blueprint.post("/sign-out")
def sign_out() -> Response:
    """End the session on the server and forget the cookie."""
    if current_user.is_authenticated:
        site().accounts.close_session(current_user.get_id())
    logout_user()
    session.clear()
    return redirect(url_for("account.sign_in"))
