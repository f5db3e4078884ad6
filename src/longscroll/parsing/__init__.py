"""Bytes to pages of text: pure, one module per format family."""
