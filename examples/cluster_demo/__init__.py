"""A cluster on one machine, of whose processes each is killed, and an experiment that does not mind."""
