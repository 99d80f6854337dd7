"""
Make one request; print its response as JSON.

    response.py HOST PORT NAME PATH [HEADER: VALUE ...]

NAME is the Host header. The response is its "status", "headers" (by names in small
letters) and "body", or "error": why there is none.
"""

import http.client
import json
import sys

host, port, name, path, *lines = sys.argv[1:]
headers = {
    "Host": name,
    "User-Agent": "prodserver-conformance",
    "Connection": "close",
    **dict(line.split(": ", 1) for line in lines),
}
connection = http.client.HTTPConnection(host, int(port), timeout=60)
try:
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    found = {
        "status": response.status,
        "headers": {name.lower(): value for name, value in response.getheaders()},
        "body": response.read(2**20).decode(errors="replace"),
    }
except (OSError, http.client.HTTPException) as error:
    found = {"error": f"{type(error).__name__}: {error}"}
print(json.dumps(found))
