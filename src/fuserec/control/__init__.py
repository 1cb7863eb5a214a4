"""Control: dials of a user or an operator, from words to the list that is shown; no score is altered by them."""
