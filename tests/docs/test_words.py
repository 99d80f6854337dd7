"""No text gets more of the signs of sentences that a native speaker avoids."""

from __future__ import annotations

import pytest

from tests.docs import words


@pytest.mark.parametrize("area", ["pages", "code"])
@pytest.mark.parametrize("sign", words.SIGNS)
def test_a_sign_does_not_spread(sign: str, area: str) -> None:
    found = list(words.occurrences(sign, area))
    limit = words.allowed()[sign][area]
    advice = f"{len(found)} of {sign!r}, {limit} allowed. Write: {words.SIGNS[sign][1]}"
    assert len(found) <= limit, "\n".join([advice, *found])


BAD_PAGE = """\
# What is meant

It is no server, and nobody is told.

```console
$ nobody
```

Write `nobody` in the code.

```{note}
Who comes meanwhile, nobody knows.
```
"""


def test_samples_and_inline_code_are_not_prose() -> None:
    text = words.page_prose(BAD_PAGE)
    assert text.count("nobody") == 2
    assert text.splitlines()[2].startswith("It is no server")


def test_strings_docstrings_and_comments_are_prose() -> None:
    source = '"""Who comes."""\n\nnobody = 1\nx = "natively"  # anew\n'
    text = words.code_prose(source).splitlines()
    assert text[0] == " Who comes."
    assert text[3] == " natively # anew"
    assert "nobody" not in "".join(text)
