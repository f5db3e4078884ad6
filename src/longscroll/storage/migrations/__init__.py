"""The steps from an empty database to the tables of ``schema``; each is written once and never edited."""
