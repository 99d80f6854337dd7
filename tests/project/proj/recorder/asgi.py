"""The ASGI application, recorded as it is imported."""

from django.core.asgi import get_asgi_application

from proj import recorder

recorder.record("application")

application = get_asgi_application()
