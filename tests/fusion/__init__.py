"""Gates that are written out: models, thousands that are generated, and what is said of them."""
