"""What storage does, a verb each."""
