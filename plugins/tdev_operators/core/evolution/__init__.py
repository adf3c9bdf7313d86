"""The evolution of the maintained system: how it goes, and what to do when it does not."""
