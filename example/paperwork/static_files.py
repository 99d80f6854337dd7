"""
Static files without another package, for the demonstration.

A real site leaves them to WhiteNoise, to nginx or to a CDN; with WhiteNoise
installed this view is not used either.
"""

from django.conf import settings
from django.contrib.staticfiles.views import serve as serve_uncollected
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.views.static import serve as serve_collected


def static_file(request: HttpRequest, path: str) -> HttpResponseBase:
    if settings.DEBUG:
        response = serve_uncollected(request, path)
    else:
        response = serve_collected(
            request, path, document_root=str(settings.STATIC_ROOT)
        )
    if not isinstance(response, FileResponse):
        return response
    # Django streams a file synchronously, and warns of that under ASGI. These
    # files are small enough to be read at once.
    body = response.getvalue()
    response.close()
    return HttpResponse(body, headers=dict(response.headers))
