"""A model of the protocol in virtual time, and a checker that searches it."""
