"""What `lgs dashboard` and `lgs up` show in a browser, and the JSON of the history that it is made of. All of
it listens on the loopback interface alone."""
