"""A 3-D view of suspects in the page: coarse volumes, and NiiVue to show them."""
