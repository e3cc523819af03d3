"""The gate as a module: its configuration, what published models have, the module, and what keeps experts busy."""
