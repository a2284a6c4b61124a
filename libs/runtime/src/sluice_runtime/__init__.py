"""The plumbing every Sluice service shares."""
