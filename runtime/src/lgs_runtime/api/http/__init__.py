"""How HTTP is spoken here, whatever is asked: what a body may be, which status an error becomes, streams of
events, browsers' rules, and what stands before all routes. Knows no resource."""
