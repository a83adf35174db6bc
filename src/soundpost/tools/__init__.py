"""Commands, and what they run: deployment, diagnosis, load test, TypeScript types."""
