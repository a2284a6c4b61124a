"""Owner of what Sluice knows: batches, recordings, uploads, keys."""
