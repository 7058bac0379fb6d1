//! Serves the core over HTTP: hyper below, a route table as data, handlers that parse, call one service and reply.
//!
//! Start reading at `routes.rs`, go on in the handler named after the area. No rule of the product lives here.

mod app;
mod body;
mod conditional;
mod dispatch;
mod errors;
mod frames;
mod handlers;
mod health;
mod limits;
mod longpoll;
mod metrics;
mod nudges;
mod once;
mod openapi;
mod pages;
mod pointed;
mod query;
mod reply;
mod request;
pub mod roles;
mod routes;
mod server;
mod socket;
mod sockets;
pub mod telemetry;
mod upload;
