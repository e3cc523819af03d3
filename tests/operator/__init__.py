"""What the operators compute and refuse, on every backend; the reference that says so."""
