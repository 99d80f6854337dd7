"""The app that takes documents and analyses them."""

from django.apps import AppConfig


class DocumentsConfig(AppConfig):
    name = "paperwork.documents"
