"""What every page's footer says."""

import os

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest


def serving_process(request: HttpRequest) -> dict[str, object]:
    """
    Tell which process answered, for the demonstration's sake.

    WSGI servers give their name; ASGI has no field for it.
    """
    return {
        "serving": {
            "interface": "ASGI" if isinstance(request, ASGIRequest) else "WSGI",
            "software": request.META.get("SERVER_SOFTWARE", ""),
            "process": os.getpid(),
        }
    }
