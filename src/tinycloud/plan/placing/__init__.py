"""Where machines may be: what they ask, what hosts are and have, what is kept so that a host may die."""
