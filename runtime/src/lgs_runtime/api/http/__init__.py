"""What all routes share of HTTP: limits of a body, the status of each error, streams of events, browsers'
rules, and what comes before all routes. It uses no resource."""
