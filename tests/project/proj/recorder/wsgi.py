"""The WSGI application, recorded as it is imported."""

from django.core.wsgi import get_wsgi_application

from proj import recorder

recorder.record("application")

application = get_wsgi_application()
