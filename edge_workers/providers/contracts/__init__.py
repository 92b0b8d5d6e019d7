"""What every adapter offers: Protocols and neutral values, one module a kind of provider."""
