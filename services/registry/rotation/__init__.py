"""Key rotation 密钥轮换: identity data is sealed anew under the present key while the service runs."""
