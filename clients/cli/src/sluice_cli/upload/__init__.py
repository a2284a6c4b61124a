"""`sluice upload`: files of any size, straight into the object store, resumed where they broke."""
