from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.urls import path


def about(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f"{User.objects.count()} users")


urlpatterns = [path("about", about)]
