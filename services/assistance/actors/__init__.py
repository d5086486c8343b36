"""Actors 帮扶主体: helpers, enterprises, departments, work teams, secretaries."""
