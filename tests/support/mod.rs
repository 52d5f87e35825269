//! What the test programs share: servers, databases, providers, clients.
#![allow(dead_code, reason = "no test program uses all of it")]

pub(crate) mod balancer;
pub(crate) mod chaos;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod connection;
pub(crate) mod database;
pub(crate) mod faulty;
pub(crate) mod hostile;
pub(crate) mod logs;
pub(crate) mod multipart;
pub(crate) mod outage;
pub(crate) mod pages;
pub(crate) mod pooler;
pub(crate) mod process;
pub(crate) mod scene;
pub(crate) mod server;
pub(crate) mod sse;
pub(crate) mod strict;
pub(crate) mod talk;
pub(crate) mod upstream;
pub(crate) mod wait;
pub(crate) mod websocket;
