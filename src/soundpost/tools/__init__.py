"""Commands and their implementations: deployment, diagnosis, load test, TypeScript types."""
