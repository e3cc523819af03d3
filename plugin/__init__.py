"""What a user imports: a public function per operator, the reference, and the gate as a module.

A public function knows its constraints and torch's dispatcher. The rooms below it say what they may know; none knows
the public functions. Importing this folder imports no torch.
"""
