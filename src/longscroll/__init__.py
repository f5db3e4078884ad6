"""Longscroll: long documents and the models that read them, served on your own machine."""

__version__ = "0.1.0"
