"""`python -m ganctl`: the entry for torchrun."""

from ganctl.cli import main

if __name__ == "__main__":
    main()
