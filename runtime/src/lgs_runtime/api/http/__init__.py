"""The HTTP parts that all routes share: body limits, the status of each error, event streams, CORS, and what
comes before all routes. Nothing here uses a resource."""
