"""Owner of the object store."""
