"""Pictures, recordings and pages."""
