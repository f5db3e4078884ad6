"""Batches: many questions in one file, answered later into another."""
