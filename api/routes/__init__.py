"""REST routes, thin: each turns a request into one call of the ledger or one question to the published marts."""
