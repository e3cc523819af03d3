"""`make bench`: measures, compares with what is promised, and draws. It knows the package as users do."""
