"""Work on more than one machine: a Ray cluster, what its nodes run, and what is shared out to them."""
