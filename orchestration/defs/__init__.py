"""The assets and checks, a module per arrow of the picture: landing, transform, publish, and audit of what they did."""
