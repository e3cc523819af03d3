"""Every test runs where the machine's CANN is, and on the stand-in where there is none: it goes first, before torch."""

from ascend_moe_gating import simulator

simulator.load()
