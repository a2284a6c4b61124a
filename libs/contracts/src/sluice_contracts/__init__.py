"""Versioned contracts shared by every Sluice service."""
