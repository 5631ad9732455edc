//! Clients of Azure, and what they share: the HTTP transport and access tokens.

pub mod arm;
pub mod http_transport;
pub mod key_vault;
pub mod slot;
pub mod storage_queue;
pub mod tokens;
