"""What a Cordboard service needs to be a good citizen. No word of the contact centre in it."""
