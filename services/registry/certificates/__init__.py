"""Honour certificates 脱贫光荣证: issued by exits, verified by number, printed with a QR code."""
