//! Request and response bodies of the Platform API, shared by server and client.
