"""Speed of the product, as ratios against something named in the same run. Run by `make bench`."""
