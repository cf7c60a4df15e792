//! Throw-away network namespaces.
