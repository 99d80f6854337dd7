"""Any management command that runs until it is stopped."""
