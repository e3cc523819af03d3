"""The pages that a user reads: README.md and docs/. Their samples run, their numbers have a source, their links lead somewhere."""
