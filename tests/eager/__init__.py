"""Gates that are replaced in models which run eagerly."""
