"""Check that uploads can be stored: volumes often belong to another user."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from django.conf import settings


def warnings() -> Iterator[str]:
    """Yield a warning if ``MEDIA_ROOT`` is a volume that this user cannot write to."""
    root = settings.MEDIA_ROOT
    if not root or not isinstance(root, str | os.PathLike):
        return
    if not hasattr(os, "statvfs"):
        return  # on Windows, files have no such owners
    with contextlib.suppress(OSError, ValueError):
        is_volume = os.path.ismount(root)
        is_read_only = os.statvfs(root).f_flag & os.ST_RDONLY
        owner, user = os.stat(root).st_uid, os.geteuid()  # noqa: PTH116
        if is_volume and not is_read_only and not os.access(root, os.W_OK):
            yield (
                f"uid {user} cannot write to MEDIA_ROOT, the volume {root} of uid "
                f"{owner}: run as that user (docker run --user {owner}:0), or "
                f"change the owner of the files once (chown -R {user}:0)"
            )
