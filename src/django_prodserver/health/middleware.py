"""``/-/live`` and ``/-/ready``, answered before anything else has a say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from django_prodserver.config.context import Context
from django_prodserver.health import conf, state
from django_prodserver.health.checks import Check, Run

Answer = HttpResponseBase | Awaitable[HttpResponseBase]


class HealthMiddleware:
    """
    Answer the two questions of an orchestrator; pass everything else on.

    First in ``MIDDLEWARE``, it is there for any Host, without TLS, and opens no
    session. Alive is who can answer at all. Ready is who is not draining, and
    whose ``PRODSERVER_HEALTH["CHECKS"]`` are well; without any, nothing that is
    shared with others is looked at.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Answer]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        health = conf.load()
        self._live_path = health.live_path
        self._ready_path = health.ready_path
        self._checks = [Check(name, health) for name in health.checks]
        # Read once: a later run of the same name would write its own there.
        context = Context.from_environment()
        file = context.state_file if context else ""
        self._state = state.read(file) if file else None

    def __call__(self, request: HttpRequest) -> Answer:
        # Not request.path, which begins with the prefix that a proxy has put there.
        asked = request.path_info
        if asked not in (self._live_path, self._ready_path):
            return self._get_response(request)
        if self._is_async:
            return self._answer_async(request)
        return self._answer(request)

    def _answer(self, request: HttpRequest) -> HttpResponse:
        runs, problems = self._begin(request)
        for run in runs.values():
            run.wait()
        return self._end(request, runs, problems)

    async def _answer_async(self, request: HttpRequest) -> HttpResponse:
        runs, problems = self._begin(request)
        for run in runs.values():
            await run.wait_async()
        return self._end(request, runs, problems)

    def _begin(self, request: HttpRequest) -> tuple[dict[Check, Run], list[str]]:
        """Return what has to be waited for, and what is known to be wrong."""
        if request.path_info == self._live_path:
            return {}, []
        if self._state and self._state.draining():
            return {}, ["draining"]
        return {check: check.ask() for check in self._checks}, []

    def _end(
        self, request: HttpRequest, runs: dict[Check, Run], problems: list[str]
    ) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return _response("only GET and HEAD", 405, allow="GET, HEAD")
        problems += [check.name for check in runs if not check.is_well(runs[check])]
        if problems:
            return _response(f"not ready: {', '.join(problems)}", 503)
        live = request.path_info == self._live_path
        return _response("alive" if live else "ready", 200)


def _response(line: str, status: int, **headers: str) -> HttpResponse:
    response = HttpResponse(f"{line}\n", "text/plain; charset=utf-8", status)
    # The middleware that sets it is not reached.
    response.headers["Content-Length"] = str(len(response.content))
    response.headers["Cache-Control"] = "no-store"
    for name, value in headers.items():
        response.headers[name] = value
    # Or Django would log an error, and mail it to the admins, at each probe that
    # is told no; what is wrong is logged once, by the check.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response
