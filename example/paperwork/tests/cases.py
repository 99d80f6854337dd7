"""What the tests of this project share."""

import logging

from django.test import TestCase


class QuietTestCase(TestCase):
    """Keeps the log of what a test provokes off the terminal."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        logging.disable(logging.CRITICAL)
        cls.addClassCleanup(logging.disable, logging.NOTSET)
