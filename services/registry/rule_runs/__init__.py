"""Rule runs 规则核查: the rule catalogue over the register as it stands."""
