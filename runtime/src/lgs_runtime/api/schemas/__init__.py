"""The forms of requests and answers: the models of bodies and queries, the models of answers for the OpenAPI
description, and the encoding of our records as that JSON."""
