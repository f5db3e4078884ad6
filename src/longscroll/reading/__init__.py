"""How to read more text than a model can hold."""
