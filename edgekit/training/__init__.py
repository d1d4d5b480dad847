"""What training is made of: recipe, optimisers, pictures, what is learned from, and what of it fits."""
