"""Helpers common to several folders of tests. No tests here."""
