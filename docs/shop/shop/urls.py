"""The pages of the shop: one."""

from django.http import HttpRequest, HttpResponse
from django.urls import path


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Hello from the shop.\n", content_type="text/plain")


urlpatterns = [path("", home)]
