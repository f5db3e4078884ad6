"""``python -m longscroll`` is the ``longscroll`` command."""

from longscroll.cli import main

main()
