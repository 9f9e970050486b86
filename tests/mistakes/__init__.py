"""Mistaken command lines, a table a command, and what becomes of the remedies that they are answered with."""
