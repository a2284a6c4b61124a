"""The public HTTP routes, one file a door."""
