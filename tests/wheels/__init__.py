"""Tests of what makes and judges the wheels."""
