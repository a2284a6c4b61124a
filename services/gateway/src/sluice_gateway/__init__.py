"""The public HTTP door of Sluice."""
