"""API keys 接口密钥: issued here, mirrored by the other services (architecture rule 10)."""
