"""A backend as others write one: it has start_server and nothing else."""

import json
from wsgiref.simple_server import WSGIServer, make_server

from django.apps import apps

from django_prodserver.backends.base import BaseServerBackend
from django_prodserver.backends.django_command import ManagementBackend
from django_prodserver.config.keys import Unsupported


class _Server(WSGIServer):
    allow_reuse_address = True


class WsgirefServer(BaseServerBackend):
    def start_server(self, *args: str) -> None:
        assert apps.ready
        from proj.wsgi import application

        options = dict(word.lstrip("-").split("=") for word in args)
        print(f"wsgiref with {' '.join(args)}", flush=True)
        port = int(options["port"])
        with make_server("127.0.0.1", port, application, _Server) as server:
            server.serve_forever()


class ScriptBackend(BaseServerBackend):
    """Run the Python that its only option is."""

    def start_server(self, *args: str) -> None:
        exec(args[0], {})  # noqa: S102


class EchoServer(BaseServerBackend):
    """Print what it is started with."""

    def start_server(self, *args: str) -> None:
        print(json.dumps(args), flush=True)


class StepWorker(ManagementBackend):
    """Run a command of whose options nothing is known."""

    package = "proj"
    management_command = "step"
    keys = {
        **ManagementBackend.keys,
        "QUEUES": "queue",
        "CONCURRENCY": Unsupported("it runs one step at a time; start more processes"),
    }
