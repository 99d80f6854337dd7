"""The views of the test image: those of the project, and a page at its root."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("home")


urlpatterns = [path("", home), path("", include("proj.urls"))]
