"""What a user imports: a public function per operator, and the reference.

A public function knows its constraints, whether a gradient is wanted, and torch's dispatcher. The rooms below it say
what they may know; only that of the gates knows the public functions. Importing this folder imports no torch.
"""
