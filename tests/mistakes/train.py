"""Mistakes of people who train."""

from mistakes.mistake import Mistake

TABLE = [
    # values
    Mistake("train steps=abc", "steps='abc': int expected", "steps=1"),
]
