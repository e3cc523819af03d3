"""The pages that a user reads: README.md and docs/. Samples run, numbers have a source, links lead somewhere."""
