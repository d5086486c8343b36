"""Seeing identity data 身份信息: revealing one person's, looking persons up by ID number, and erasing one person's."""
