"""The forms of requests and answers: the models of bodies and queries, the shapes of answers in the API's
description, and our records as that JSON."""
