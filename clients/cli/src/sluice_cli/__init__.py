"""Command-line clients of Sluice."""
