"""The views of the test image: those of the project, and what containers need."""

import subprocess
import sys

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

# Each child forks once more and ends: the one that is left says who adopts it.
ORPHANS = """
import os, time
read, write = os.pipe()
for _ in range(200):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    parent = os.getpid()
    if os.fork():
        os._exit(0)
    while os.getppid() == parent:
        time.sleep(0.001)
    os.write(write, b"%d " % os.getppid())
    os._exit(0)
os.close(write)
words = b""
while more := os.read(read, 4096):
    words += more
adopted = [int(word) for word in words.split()]
print(len(adopted), *sorted(set(adopted)))
"""


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("home")


def orphans(request: HttpRequest) -> HttpResponse:
    """Leave 200 orphans; answer their number, and who adopted them."""
    command = [sys.executable, "-c", ORPHANS]
    return HttpResponse(subprocess.check_output(command, text=True))


urlpatterns = [
    path("", home),
    path("orphans", orphans),
    path("", include("proj.urls")),
]
