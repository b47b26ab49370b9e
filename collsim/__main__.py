"""``python -m collsim`` and the ``collsim`` command."""

from __future__ import annotations

from collsim.cli import main

if __name__ == "__main__":
    main()
