//! Background use-cases and the worker that runs them.
