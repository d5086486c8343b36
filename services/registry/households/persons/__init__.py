"""Persons without a household 无户人员: on the register, in a village, counted in no household's stock."""
