"""``prodserver-conformance``: does an image keep what the base image promises?"""
