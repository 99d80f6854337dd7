"""The form on the front page: a text, pasted or in a file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from django import forms

from paperwork.documents import conf
from paperwork.documents.analysis import Text
from paperwork.documents.models import Document

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile


class DocumentForm(forms.Form):
    text = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false"}),
    )
    file = forms.FileField(
        required=False,
        # Empty is said below, in the same words as for the text.
        allow_empty_file=True,
        max_length=None,
        widget=forms.FileInput(attrs={"accept": ".txt,.md,.rst,.csv,text/*"}),
    )

    def clean_text(self) -> str:
        # Browsers send \r\n whatever was typed.
        text: str = self.cleaned_data["text"].replace("\r\n", "\n")
        _check_size(len(text.encode()))
        return text

    def clean_file(self) -> UploadedFile[bytes] | None:
        file: UploadedFile[bytes] | None = self.cleaned_data["file"]
        if file is not None:
            _check_size(file.size or 0)
        return file

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        text, file = cleaned["text"], cleaned["file"]
        if text and file:
            self.add_error("file", "Paste a text or choose a file, not both.")
        elif file:
            cleaned["text"] = self._read(file)
            if not cleaned["text"] and not self.errors:
                self.add_error("file", "This file is empty.")
        elif not text:
            self.add_error("text", "Paste a text, or choose a file below.")
        return cleaned

    def save(self) -> Document:
        text = self.cleaned_data["text"]
        file: UploadedFile[bytes] | None = self.cleaned_data["file"]
        title = _title((file.name if file else "") or text)
        return Document.objects.create(title=title, text=text)

    def _read(self, file: UploadedFile[bytes]) -> str:
        content: bytes = file.read()
        # UTF-16 is what Windows calls "Unicode" when it saves a text.
        marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        try:
            text = content.decode("utf-16" if marked else "utf-8-sig")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            self.add_error("file", "This file is not a plain text in UTF-8.")
            return ""
        return text.replace("\r\n", "\n").strip()


def _check_size(size: int) -> None:
    limit = conf.max_bytes()
    if size > limit:
        raise forms.ValidationError(
            f"This text has {math.ceil(size / 1000)} kB, "
            f"and the limit is {limit // 1000} kB. Please shorten it."
        )


def _title(text: str, length: int = 80) -> str:
    """Make a title of the first line: all of it, its first sentence, its start."""
    line = " ".join(text.strip().partition("\n")[0].split())
    if len(line) <= length:
        return line
    sentence = next(iter(Text(line).sentences), line)
    if len(sentence) <= length:
        return sentence
    start = line[:length].rpartition(" ")[0] or line[:length]
    return start.rstrip(" ,;:.\u2013\u2014-") + "\u2026"
