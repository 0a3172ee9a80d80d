"""The page on which a token is shown, once for each browser."""

import asyncio
from html import escape
from http import HTTPStatus
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from renalseg.web.identity import COOKIE, Doorkeeper
from renalseg.web.logins import LOGIN_S, Logins
from renalseg.web.tokens import token_hash

_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="dark">
  <title>renalseg</title>
  <link rel="icon" href="static/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="static/css/base.css">
  <link rel="stylesheet" href="static/css/login.css">
</head>
<body class="login">
  <main>
    <h1>renalseg</h1>
    <form method="post" action="login">
      <label for="token">Your token</label>
      <input id="token" name="token" type="password" autocomplete="current-password" required
             autofocus>
      <p class="problem" role="alert">{problem}</p>
      <button class="button primary" type="submit">Log in</button>
    </form>
    <p class="quiet">Whoever runs this server gave you a token. Not for diagnostic use.</p>
  </main>
</body>
</html>
"""
#: A page of our own goes on to the studies: after a redirect from another site's link, a browser
#: would not send the new cookie.
_GO_ON = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=./"><title>renalseg</title>
</head>
<body><a href="./">Go on</a></body>
</html>
"""


class Door:
    """Lets browsers in."""

    def __init__(self, logins: Logins, doorkeeper: Doorkeeper) -> None:
        self._logins = logins
        self._doorkeeper = doorkeeper

    def let_in(self, request: Request, token: str) -> Response:
        """Give a browser that shows a token its cookie.

        Raises:
            RefusedError: Too many wrong tokens came from there.
        """
        user = self._doorkeeper.user_of(token, request)
        if user is None:
            return _page("No such token. Copy it again, without spaces.", HTTPStatus.UNAUTHORIZED)
        answer: Response = HTMLResponse(_GO_ON)
        if request.method == "POST":
            answer = RedirectResponse("./", HTTPStatus.SEE_OTHER)
        is_https = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
        answer.set_cookie(
            COOKIE,
            self._logins.begin(user, token_hash(token)),
            max_age=int(LOGIN_S),
            httponly=True,
            samesite="strict",
            secure=is_https,
        )
        return answer

    def routes(self) -> APIRouter:
        """The page, what it sends, and the way out."""
        router = APIRouter(include_in_schema=False)

        @router.get("/login")
        def show() -> Response:
            return _page("")

        @router.post("/login")
        async def log_in(request: Request) -> Response:
            fields = parse_qs((await request.body()).decode("ascii", errors="replace"))
            return await asyncio.to_thread(self.let_in, request, fields.get("token", [""])[0])

        @router.post("/logout")
        def log_out(request: Request) -> Response:
            self._logins.end(request.cookies.get(COOKIE, ""))
            answer = Response(status_code=HTTPStatus.NO_CONTENT)
            answer.delete_cookie(COOKIE)
            return answer

        return router


def _page(problem: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return HTMLResponse(_PAGE.format(problem=escape(problem)), status)
