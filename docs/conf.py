"""How the documentation is built: "make docs"."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

import django

HERE = Path(__file__).parent
# For docs._ext, and the project whose settings the backends are asked with.
sys.path[:0] = [str(HERE.parent), str(HERE / "shop")]
os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
# What the defaults depend on is not this machine's.
for name in ("PORT", "PRODSERVER_HOST", "PRODSERVER_LOG_FORMAT", "WEB_CONCURRENCY"):
    os.environ.pop(name, None)
# Before autodoc, which asks an app's config for its name, which needs settings.
django.setup()

from docs._ext import facts  # noqa: E402

project = "django-prodserver"
author = "The django-prodserver founders"
release = version = version_of("django-prodserver")

extensions = [
    "docs._ext.answers",
    "docs._ext.directives",
    "docs._ext.figures",
    "docs._ext.terminals",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.extlinks",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "shop"]
myst_enable_extensions = ["attrs_block", "colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_logo = html_favicon = "_static/logo.svg"
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0c6b58",
        "color-brand-content": "#0c6b58",
    },
    "dark_css_variables": {
        "color-brand-primary": "#5fd0a8",
        "color-brand-content": "#5fd0a8",
    },
}
html_copy_source = False
html_show_copyright = False
html_show_sourcelink = False

# A prompt is not copied, and neither is what a command says.
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
copybutton_exclude = ".linenos, .gp, .go"

autodoc_typehints = "none"
# A name of Python's or Django's in a signature is a link only where there is a
# network for it: INTERSPHINX=1.
if os.environ.get("INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "django": ("https://docs.djangoproject.com/en/stable/", None),
    }
else:
    nitpick_ignore_regex = [("py:.*", r"(?!django_prodserver).*")]

# One line for each server's documentation, of the release that all is tested with.
extlinks = {
    name: (f"{site}/%s", None)
    for name, site in {
        "celery": f"https://docs.celeryq.dev/en/v{facts.version_of('celery')}",
        "django": f"https://docs.djangoproject.com/en/{facts.version_of('django')[:3]}",
        "django-q2": "https://github.com/django-q2/django-q2/blob/"
        f"v{facts.version_of('django-q2')}/docs",
        "django-tasks-db": "https://github.com/RealOrangeOne/django-tasks-db/blob/"
        f"{facts.version_of('django-tasks-db')}",
        "django-tasks-rq": "https://github.com/RealOrangeOne/django-tasks-rq/blob/"
        f"{facts.version_of('django-tasks-rq')}",
        "django-rq": "https://github.com/rq/django-rq/blob/"
        f"v{facts.version_of('django-rq')}",
        "django-dramatiq": "https://github.com/Bogdanp/django_dramatiq/blob/"
        f"v{facts.version_of('django-dramatiq')}",
        "dramatiq": "https://github.com/Bogdanp/dramatiq/blob/"
        f"v{facts.version_of('dramatiq')}/docs/source",
        "flower": "https://github.com/mher/flower/blob/"
        f"v{facts.version_of('flower')}/docs",
        "granian": "https://github.com/emmett-framework/granian/blob/"
        f"v{facts.version_of('granian')}",
        "gunicorn": "https://github.com/benoitc/gunicorn/blob/"
        f"{facts.version_of('gunicorn')}/docs/content",
        "huey": f"https://github.com/coleifer/huey/blob/{facts.version_of('huey')}",
        "hypercorn": "https://github.com/pgjones/hypercorn/blob/"
        f"{facts.version_of('hypercorn')}/docs",
        "rq": f"https://github.com/rq/rq/blob/v{facts.version_of('rq')}",
        "procrastinate": "https://github.com/procrastinate-org/procrastinate/blob/"
        f"{facts.version_of('procrastinate')}/docs",
        "uvicorn": "https://github.com/Kludex/uvicorn/blob/"
        f"{facts.version_of('uvicorn')}/docs",
        "waitress": "https://github.com/Pylons/waitress/blob/"
        f"v{facts.version_of('waitress')}/docs",
    }.items()
}
extlinks_detect_hardcoded_links = True
