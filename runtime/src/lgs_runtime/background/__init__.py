"""What a replica does beside its work, again and again: `duties` names each, its period and its owner."""
