"""The command line: one file a command or small group of them; each parses, calls the library, and prints."""

from __future__ import annotations

from fuserec.cli.entry import main

__all__ = ["main"]
