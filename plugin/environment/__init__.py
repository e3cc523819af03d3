"""What this package finds in the process that it runs in: what the user has switched, which packages are installed.

It knows nothing of this package, and importing it imports no torch.
"""
