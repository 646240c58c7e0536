"""Every event and command of Cordboard: the only code that services share about each other."""
