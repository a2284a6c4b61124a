"""What the gateway does, a verb each."""
