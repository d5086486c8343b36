"""Standing 状态认定: identification, exit and relapse as reviewed, dated decisions (domain.md 2)."""
