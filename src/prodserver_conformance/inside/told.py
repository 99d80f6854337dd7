"""Print, as JSON, what others may read: the probe's files and the command lines."""

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
