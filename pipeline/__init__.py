"""Batch document analysis with Claude: a corpus in, a table of checked answers out."""

__version__ = "0.1.0"
