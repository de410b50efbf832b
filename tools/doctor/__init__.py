"""`jourdain doctor`: what is wrong between this machine, the cable, the board and the broker, and what to do next."""
