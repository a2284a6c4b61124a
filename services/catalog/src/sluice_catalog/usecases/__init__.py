"""What the catalog does, a verb each."""
