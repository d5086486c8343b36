"""The article's systems, and what the register promises, shown over the public interfaces (product.md), as scripts.

``./bangfu up --no-demo --detach`` and then, for example, ``.venv/bin/python -m tests.demos.s02_divisions``: each
prints what it found beside what it expected, and ends with 1 when they differ. They leave what they made behind.
README lists them.
"""
