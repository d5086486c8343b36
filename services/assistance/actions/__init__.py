"""Actions 帮扶行动: the ledger that everything else hangs on."""
