from __future__ import annotations

from django_prodserver.backends import hooks


class Server:
    """Two functions, either of which may come first."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def bind(self, address: str) -> str:
        self.calls.append(address)
        return f"bound to {address}"

    def load(self) -> None:
        self.calls.append("load")


def test_calls_once_before_the_first_of_them(monkeypatch):
    for name in ("bind", "load"):
        monkeypatch.setattr(Server, name, vars(Server)[name])
    native = dict(vars(Server))
    server = Server()
    hooks.call_before_first(
        [(Server, "bind"), (Server, "load")], lambda: server.calls.append("hook")
    )
    assert server.bind(address="here") == "bound to here"
    server.load()
    assert server.calls == ["hook", "here", "load"]
    assert Server.bind is native["bind"]
    assert Server.load is native["load"]
