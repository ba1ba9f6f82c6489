"""The page that `lgs dashboard` and `lgs up` show in a browser, and the history as JSON that it is made from.
All servers for people listen on the loopback interface only."""
