"""Generators and discriminators: what each player is, never how it is trained."""
