"""Is our start equal to the native one? What the application sees is compared."""
