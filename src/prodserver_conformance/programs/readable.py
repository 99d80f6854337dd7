"""Print, as JSON, what other users can read: the probe's files and command lines."""

import glob
import json

PLACES = ["/run/prodserver/*", "/dev/shm/*/*", "/tmp/prodserver-*/*", "/proc/*/cmdline"]

found = {}
for path in [path for place in PLACES for path in glob.glob(place)]:
    try:
        with open(path, "rb") as file:
            found[path] = file.read(65536).decode(errors="replace")
    except OSError:
        continue
print(json.dumps(found))
