//! The Mistral Workflows HTTP API, over the same engine as the gRPC API.
