"""One suite that every provider has to pass, whatever it speaks."""
