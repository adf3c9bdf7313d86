"""High memory on a host: who has it, and how it is given back."""
