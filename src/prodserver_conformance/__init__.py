"""``prodserver-conformance``: check that an image keeps the base image's guarantees."""
