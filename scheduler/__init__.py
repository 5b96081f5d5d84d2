"""Ringback, the relational call scheduler."""

__version__ = "0.1.0"
