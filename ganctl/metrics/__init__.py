"""How a generator is judged: pure functions of evidence, one protocol a file."""
