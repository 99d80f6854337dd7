"""The health endpoints, ``/-/live`` and ``/-/ready``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from django_prodserver.config.context import Context
from django_prodserver.health import conf, state
from django_prodserver.health.checks import Check, CheckRun

Response = HttpResponseBase | Awaitable[HttpResponseBase]


class HealthMiddleware:
    """
    Answer liveness and readiness requests; pass on all others.

    As the first of ``MIDDLEWARE``, it accepts any Host, needs no TLS and opens no
    session. Live: the process responds. Ready: not draining, and all of
    ``PRODSERVER_HEALTH["CHECKS"]`` pass; by default there are none, so readiness does
    not depend on anything that replicas share.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Response]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        health = conf.load()
        self._live_path = health.live_path
        self._ready_path = health.ready_path
        self._checks = [Check(name, health) for name in health.checks]
        # Read once, because the next start of the same process overwrites the file.
        context = Context.from_environment()
        file = context.state_file if context else ""
        self._state = state.read(file) if file else None

    def __call__(self, request: HttpRequest) -> Response:
        # Not request.path, which starts with the prefix of a proxy.
        if request.path_info not in (self._live_path, self._ready_path):
            return self._get_response(request)
        if self._is_async:
            return self._respond_async(request)
        return self._respond(request)

    def _respond(self, request: HttpRequest) -> HttpResponse:
        runs, problems = self._start_checks(request)
        for run in runs.values():
            run.wait()
        return self._response(request, runs, problems)

    async def _respond_async(self, request: HttpRequest) -> HttpResponse:
        runs, problems = self._start_checks(request)
        for run in runs.values():
            await run.wait_async()
        return self._response(request, runs, problems)

    def _start_checks(
        self, request: HttpRequest
    ) -> tuple[dict[Check, CheckRun], list[str]]:
        """Return the runs to wait for, and the problems known so far."""
        if request.path_info == self._live_path:
            return {}, []
        if self._state and self._state.draining():
            return {}, ["draining"]
        return {check: check.current_run() for check in self._checks}, []

    def _response(
        self, request: HttpRequest, runs: dict[Check, CheckRun], problems: list[str]
    ) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return _text_response("only GET and HEAD", 405, allow="GET, HEAD")
        problems += [check.name for check, run in runs.items() if not check.passed(run)]
        if problems:
            return _text_response(f"not ready: {', '.join(problems)}", 503)
        live = request.path_info == self._live_path
        return _text_response("alive" if live else "ready", 200)


def _text_response(line: str, status: int, **headers: str) -> HttpResponse:
    response = HttpResponse(f"{line}\n", "text/plain; charset=utf-8", status)
    # Otherwise set by a Django middleware that is not reached.
    response.headers["Content-Length"] = str(len(response.content))
    response.headers["Cache-Control"] = "no-store"
    for name, value in headers.items():
        response.headers[name] = value
    # Or Django would log an error, and mail it to the admins, for each probe that
    # gets a 503; the check logs the problem once.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response
