"""Shape inference: one file per operator, named as the operator. It knows the constraints."""
