"""Periods and the working calendar: pure, used by every other slice."""
