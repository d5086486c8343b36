"""What ranking must know of registry and assistance: divisions, households' standing, programmes, targets."""
