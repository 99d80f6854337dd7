"""Values that each worker would have made for itself, had it loaded the application."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.unit.process.test_fork_safety import run

LOAD = """
sys.path.insert(0, os.getcwd())
from django.conf import settings
import project_settings
settings.configure(project_settings, SETTINGS_MODULE="project_settings")
from django_prodserver.process import load_witness

{before}
with load_witness.watch_load() as witness:
    import ids
print(witness.find_obstacle())
"""


def found(folder: Path, source: str, *, before: str = "", settings: str = "") -> str:
    """Return what is found in a module ``ids`` of that source."""
    (folder / "ids.py").write_text(textwrap.dedent(source))
    (folder / "project_settings.py").write_text(settings)
    lines = run(LOAD.format(before=before), cwd=folder)
    return lines[-1]


MANAGE = "import ids"  # what Django's setup imports before our command runs


@pytest.mark.parametrize("before", ["", MANAGE], ids=["", "manage.py"])
@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import os\nworker = os.getpid() % 1024", "uses the process ID"),
        ("from os import getpid\nworker: int = getpid()", "uses the process ID"),
        ("import os\nclass Ids: worker = f'{os.getpid()}'", "uses the process ID"),
        ("import uuid\nnode = str(uuid.uuid4())", "creates a random value"),
        ("import os\nif os:\n    key = os.urandom(9)", "creates a random value"),
        ("from secrets import *\nk = dict(a=token_hex())", "creates a random value"),
    ],
)
def test_value_of_a_module_or_class(tmp_path, source, what, before):
    line = source.count("\n") + 1
    seen = found(tmp_path, source, before=before)
    assert seen.startswith(f"ids.py, line {line}, {what}")


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("import os\ndef node():\n    return os.getpid()\nnode()", 3),
        ("import os\nclass A:\n  def __init__(s):\n    s.id = os.getpid()\nA()", 4),
        ("import os\ndef node(pid=os.getpid()): pass", 2),
    ],
)
def test_process_id_in_a_function_that_is_called(tmp_path, source, line):
    assert found(tmp_path, source) == f"ids.py, line {line}, uses the process ID"


def test_seed_of_the_random_module(tmp_path):
    """Python, and Gunicorn, give it another one in each worker after a fork."""
    seen = found(tmp_path, "import random\nrandom.seed(42)")
    assert seen == "ids.py, line 2, seeds the random module"
    assert found(tmp_path, "import random\nrandom.seed()") == ""


@pytest.mark.parametrize(
    "source",
    [
        "import os\nprint('started', os.getpid())",
        "import os\ndef node():\n    return os.getpid()",
        "import os\nif os.getpid() == 1:\n    pass",
        "import os\npid = os.getpid()\ndef forked(): return pid != os.getpid()",
        "import os\nme = os.getpid()\nos.register_at_fork(after_in_child=id)",
        "import os, uuid\nmakes = [os.getpid, uuid.uuid4, lambda: uuid.uuid4()]",
        "import uuid\nuuid.uuid4()",
        "import logging\nlogging.warning('a line')",
        "import multiprocessing, tempfile, uuid\nname = tempfile.mktemp()",
        """
        import logging, os
        class Filter(logging.Filter):
            def filter(self, record):
                record.pid = os.getpid()
                return True
        logging.getLogger().addFilter(Filter())
        logging.getLogger().warning("a line")
        """,
    ],
    ids=[
        *("line of output", "not called", "not kept", "compared", "fork handler"),
        *("functions", "result not kept", "log", "standard library", "log filter"),
    ],
)
def test_what_does_no_harm(tmp_path, source):
    assert found(tmp_path, source) == ""


def test_a_secret_key_that_the_settings_make_up_is_better_shared(tmp_path):
    settings = "import os, secrets\nSECRET_KEY = secrets.token_hex()"
    assert found(tmp_path, "", settings=settings) == ""
    settings = "import os\nLOG = f'log.{os.getpid()}'"
    line = "project_settings.py, line 2, uses the process ID"
    assert found(tmp_path, "", settings=settings) == line


def test_the_functions_are_as_before(tmp_path):
    source = (
        "from os import getpid\nfrom atexit import register\nfrom random import seed"
    )
    (tmp_path / "ids.py").write_text(source)
    code = """
        import atexit, os, random
        before = os.getpid, atexit.register, random.seed
        sys.path.insert(0, os.getcwd())
        from django_prodserver.process import load_witness

        with load_witness.watch_load():
            import ids
            print(ids.getpid is before[0])
        print(before == (os.getpid, atexit.register, random.seed))
        print(before == (ids.getpid, ids.register, ids.seed))
    """
    assert run(code, cwd=tmp_path) == ["False", "True", "True"]


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("atexit.register(os.unlink, 'a.lock')", "a.lock"),
        ("atexit.register(shutil.rmtree, path='x')", "files"),
        ("lock = pathlib.Path('a.lock'); atexit.register(lock.unlink)", "a.lock"),
        ("@atexit.register\ndef end(): shutil.rmtree('folder')", "files"),
    ],
)
def test_exit_function_that_removes_what_workers_share(tmp_path, source, what):
    imports = "import atexit, os, pathlib, shutil\n"
    expected = f"the application removes {what} at exit"
    (tmp_path / "a.lock").touch()
    (tmp_path / "x").mkdir()
    (tmp_path / "folder").mkdir()
    assert found(tmp_path, imports + source) == expected


def test_other_exit_functions_are_safe(tmp_path):
    source = (
        "import atexit\natexit.register(print, 'bye')\natexit.register(list().clear)"
    )
    (tmp_path / "ids.py").write_text(source)
    (tmp_path / "project_settings.py").write_text("")
    assert run(LOAD.format(before=""), cwd=tmp_path) == ["", "bye"]
