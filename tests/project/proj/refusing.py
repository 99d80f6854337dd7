"""Settings that say what they miss."""

from django.core.exceptions import ImproperlyConfigured

raise ImproperlyConfigured("Set SHOP_KEY.")
