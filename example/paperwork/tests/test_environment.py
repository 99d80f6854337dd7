import os
import tempfile
from pathlib import Path
from unittest import mock

from django.core.exceptions import ImproperlyConfigured
from django.test import SimpleTestCase

from paperwork.environment import secret


class SecretTests(SimpleTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "key"
        self.enterContext(mock.patch.dict(os.environ))

    def test_it_is_in_the_variable(self) -> None:
        os.environ["KEY"] = "from the variable"
        assert secret("KEY") == "from the variable"

    def test_it_is_in_a_file(self) -> None:
        """As an editor writes it: with a line's end, which is not part of it."""
        self.file.write_text(" from the file \n")
        os.environ["KEY_FILE"] = str(self.file)
        assert secret("KEY") == " from the file "

    def test_it_is_nowhere(self) -> None:
        assert secret("KEY") == ""

    def test_it_is_in_both(self) -> None:
        os.environ |= {"KEY": "secret", "KEY_FILE": str(self.file)}
        with self.assertRaisesMessage(
            ImproperlyConfigured, "Set KEY or KEY_FILE, not both."
        ):
            secret("KEY")

    def test_the_file_cannot_be_read(self) -> None:
        os.environ["KEY_FILE"] = str(self.file)
        with self.assertRaisesMessage(ImproperlyConfigured, str(self.file)) as caught:
            secret("KEY")
        assert "No such file or directory" in str(caught.exception)
