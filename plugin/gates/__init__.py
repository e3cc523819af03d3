"""The gate as a module: its configuration, what published models have, and the module."""
