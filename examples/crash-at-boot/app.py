"""Crashes at boot, like an app whose database address is missing."""

raise SystemExit("DATABASE_URL is not set, cannot start")
