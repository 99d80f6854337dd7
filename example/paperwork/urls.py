"""The project's addresses."""

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from paperwork.static_files import static_file


async def health(request: HttpRequest) -> HttpResponse:
    """Answer a container's health check: the server takes requests."""
    return HttpResponse("ok\n", content_type="text/plain")


urlpatterns = [
    path("admin/", admin.site.urls),
    path("health/", health, name="health"),
    path("", include("paperwork.documents.urls")),
]
if "whitenoise.middleware.WhiteNoiseMiddleware" not in settings.MIDDLEWARE:
    urlpatterns.append(path("static/<path:path>", static_file))

handler400 = "paperwork.documents.views.bad_request"
