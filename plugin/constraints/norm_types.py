"""The values of norm_type: how an operator makes scores of logits."""

SOFTMAX, SIGMOID, SQRT_SOFTPLUS = 0, 1, 2
