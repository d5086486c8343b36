"""The demonstration: a synthetic population and a gentle stream of aid actions, through the public interfaces only."""
