"""The embedded stack and the test fixtures; never shipped."""
