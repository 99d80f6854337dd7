"""The one view: what this process has recorded, and its first request."""

import time

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import path

from proj import recorder

recorder.record("urls")


def recorded(request: HttpRequest) -> JsonResponse:
    """Return the records; with ``hold``, after so many seconds."""
    answer = JsonResponse(recorder.records())
    if hold := request.GET.get("hold"):
        (settings.DATA / f"begun-{request.GET['number']}").touch()
        time.sleep(float(hold))
    return answer


urlpatterns = [path("recorded", recorded)]
