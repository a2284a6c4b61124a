"""Owner of the event log and of who is told."""
